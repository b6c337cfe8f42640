"""Filters and payloads for property tests, of few names and values so that they often meet."""

from typing import Any

from hypothesis import strategies as st

Json = Any

NAMES = st.sampled_from(["a", "b", "c", ""])
TEXTS = st.sampled_from(["", "x", "xy", "yx", "xyxy", "1", "ab\0c", "é", "\ud800", "x" * 70])
NUMBERS = st.sampled_from([0, 1, -1, 2.5, 1.0, 0.0, 10**400, -(10**400), 2**62, 5e-324, 1e308])
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
ODD_NUMBERS = st.sampled_from([float("nan"), float("inf"), float("-inf")])
REGEXES = st.sampled_from(["", "^x", "y$", "[xy]+", "(a|b)", r"\bx", "é", "."])

LITERALS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
PAYLOADS = st.dictionaries(
    NAMES,
    st.recursive(
        st.one_of(SCALARS, ODD_NUMBERS),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)

OPERATIONS: st.SearchStrategy[dict[str, Json]] = st.one_of(
    [
        st.fixed_dictionaries({name: values})
        for name, values in {
            "$eq": LITERALS,
            "$neq": LITERALS,
            "$gt": st.one_of(NUMBERS, TEXTS),
            "$gte": st.one_of(NUMBERS, TEXTS),
            "$lt": st.one_of(NUMBERS, TEXTS),
            "$lte": st.one_of(NUMBERS, TEXTS),
            "$in": st.lists(LITERALS, max_size=3),
            "$nin": st.lists(LITERALS, max_size=3),
            "$startsWith": TEXTS,
            "$endsWith": TEXTS,
            "$contains": LITERALS,
            "$regex": REGEXES,
            "$exist": st.booleans(),
            "$any": st.just(True),
        }.items()
    ]
)


def _merge(forms: list[dict[str, Json]]) -> dict[str, Json]:
    return {key: item for form in forms for key, item in form.items()}


def _compound(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    several = st.lists(inner, min_size=1, max_size=2)
    return st.one_of(
        st.dictionaries(NAMES, inner, max_size=2),
        st.lists(inner, max_size=2),
        st.fixed_dictionaries({"$or": several}),
        st.fixed_dictionaries({"$and": several}),
        st.fixed_dictionaries({"$not": inner}),
        st.lists(OPERATIONS | st.dictionaries(NAMES, inner, max_size=1), max_size=3).map(_merge),
    )


def _depth(form: Json) -> int:
    inner = form.values() if isinstance(form, dict) else form if isinstance(form, list) else []
    return 1 + max(map(_depth, inner), default=0) if isinstance(form, dict | list) else 0


def _is_shallow(form: Json) -> bool:
    """Shallow enough to be put into `$or` and `$not`."""
    return _depth(form) <= 7


VALUES = st.recursive(st.one_of(SCALARS, OPERATIONS), _compound, max_leaves=4)
FILTERS = st.one_of(
    st.dictionaries(NAMES, VALUES, max_size=3),
    st.fixed_dictionaries({"$or": st.lists(st.dictionaries(NAMES, VALUES), min_size=1)}),
    st.fixed_dictionaries({"$and": st.lists(st.dictionaries(NAMES, VALUES), min_size=1)}),
    st.fixed_dictionaries({"$not": st.dictionaries(NAMES, VALUES)}),
    # About the whole payload, which is nothing but an object.
    OPERATIONS,
    st.lists(OPERATIONS | st.dictionaries(NAMES, VALUES, max_size=2), max_size=3).map(_merge),
    st.fixed_dictionaries({"$eq": st.dictionaries(NAMES, SCALARS, max_size=1)}),
    st.fixed_dictionaries({"$in": st.lists(st.dictionaries(NAMES, SCALARS, max_size=1))}),
).filter(_is_shallow)

"""The index answers as evaluating every filter would, whatever was added and removed before."""

from typing import Any as Json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durian.match import FilterIndex, parse
from tests.unit.match.strategies import FILTERS, NUMBERS, PAYLOADS, TEXTS

KEYS = st.integers(0, 9)
CHANGES = st.lists(st.tuples(KEYS, st.none() | FILTERS), max_size=30)


def index_of(forms: dict[int, Json]) -> FilterIndex:
    index = FilterIndex()
    for key, form in forms.items():
        index.add(key, parse(form))
    return index


def expected(forms: dict[int, Json], payload: Json) -> list[int]:
    return sorted(key for key, form in forms.items() if parse(form).matches(payload))


def change(index: FilterIndex, forms: dict[int, Json], key: int, form: Json | None) -> None:
    if form is not None:
        forms[key] = form
        index.add(key, parse(form))
    elif key in forms:
        del forms[key]
        index.remove(key)


@settings(max_examples=300, deadline=None)
@given(CHANGES, st.lists(PAYLOADS, min_size=1, max_size=3))
def test_answers_as_one_by_one(
    changes: list[tuple[int, Json | None]], payloads: list[Json]
) -> None:
    index, forms = FilterIndex(), dict[int, Json]()
    for key, form in changes:
        change(index, forms, key, form)
        for payload in payloads:
            assert sorted(index.matching(payload)) == expected(forms, payload)
    assert len(index) == len(forms)


# Few fields and values, so that buckets get crowded and are branched out.
CONDITIONS = st.one_of(
    st.sampled_from(["x", "y", 1, True, None]),
    st.fixed_dictionaries({"$gte": NUMBERS, "$lt": NUMBERS}),
    st.fixed_dictionaries({"$gt": NUMBERS | TEXTS}),
    st.fixed_dictionaries({"$contains": TEXTS}),
    st.fixed_dictionaries({"$startsWith": TEXTS}),
    st.fixed_dictionaries({"$neq": st.sampled_from(["x", 1])}),
)
CROWDS = st.lists(
    st.dictionaries(st.sampled_from("abcd"), CONDITIONS, min_size=2, max_size=4),
    min_size=60,
    max_size=150,
)


@settings(max_examples=60, deadline=None)
@given(CROWDS, st.lists(PAYLOADS, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_answers_as_one_by_one_when_crowded(
    forms: list[Json], payloads: Json, random: Json
) -> None:
    kept = dict(enumerate(forms))
    index = index_of(kept)
    for key in random.sample(sorted(kept), len(kept) // 2):
        change(index, kept, key, None)
        for payload in payloads:
            assert sorted(index.matching(payload)) == expected(kept, payload)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=40), NUMBERS)
def test_finds_ranges(ranges: list[tuple[Json, Json]], number: Json) -> None:
    forms = {key: {"a": {"$gte": low, "$lte": high}} for key, (low, high) in enumerate(ranges)}
    assert sorted(index_of(forms).matching({"a": number})) == expected(forms, {"a": number})


def test_of_nothing_finds_nothing() -> None:
    assert FilterIndex().matching({"a": 1}) == []


def test_equal_filters_each_have_their_answer() -> None:
    index = index_of({key: {"a": 1} for key in range(5)})
    index.remove(3)
    assert sorted(index.matching({"a": 1})) == [0, 1, 2, 4]
    assert len(index) == 4


def test_adding_again_replaces() -> None:
    index = index_of({1: {"a": 1}})
    index.add(1, parse({"a": 2}))
    assert index.matching({"a": 1}) == []
    assert index.matching({"a": 2}) == [1]
    assert len(index) == 1


def test_removing_what_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        FilterIndex().remove(1)


def test_keeps_nothing_of_what_was_removed() -> None:
    forms = {
        key: {"a": key % 3, f"b{key}": {"$gt": key}, "c": {"$contains": "x"}} for key in range(99)
    }
    index = index_of(forms)
    for key in forms:
        index.remove(key)
    assert len(index) == 0
    assert index._root._shelves == {}


def test_evaluates_few_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 8,000 filters that differ by three fields together, those alike in two are not asked."""
    forms = {key: {"a": key % 20, "b": key // 20 % 20, "c": key // 400} for key in range(8000)}
    index = index_of(forms)
    asked = []
    matches = type(parse({}).condition).matches
    monkeypatch.setattr(
        type(parse({}).condition),
        "matches",
        lambda self, value: asked.append(self) or matches(self, value),  # type: ignore[func-returns-value]
    )
    assert index.matching({"a": 7, "b": 8, "c": 9}) == [7 + 20 * 8 + 400 * 9]
    assert len(asked) < 80


def test_takes_a_hostile_payload() -> None:
    deep: Json = 1
    for _ in range(100_000):
        deep = {"a": [deep]}
    index = index_of({1: {"a": {"a": 1}}, 2: {"a": {"$gt": 1, "$lt": 2}}, 3: {"a": {"$regex": ""}}})
    for value in (deep, 10**100_000, float("nan"), float("inf"), "\ud800\0", "x" * 1_000_000):
        assert index.matching({"a": value}) == ([3] if isinstance(value, str) else [])

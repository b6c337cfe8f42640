"""The index answers as evaluating every filter would, whatever was added and removed before."""

import gc
from itertools import product
from random import Random
from types import FunctionType, ModuleType
from typing import Any as Json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durian.match import Contains, Filter, FilterIndex, Like, parse
from durian.match.compound import Fields
from durian.match.condition import Condition
from durian.match.shelves import AFFIX
from tests.unit.match.strategies import FILTERS, NUMBERS, PAYLOADS, TEXTS
from tests.unit.match.test_jsonform import HITS, MISSES

KEYS = st.integers(0, 9)
CHANGES = st.lists(st.tuples(KEYS, st.none() | FILTERS), max_size=30)


class Both:
    """An index, and the same filters one by one."""

    def __init__(self, forms: dict[int, Json] | None = None) -> None:
        self.index = FilterIndex()
        self.filters: dict[int, Filter] = {}
        for key, form in (forms or {}).items():
            self.put(key, form)

    def put(self, key: int, form: Json) -> None:
        self.filters[key] = parse(form)
        self.index.add(key, parse(form))

    def remove(self, key: int) -> None:
        del self.filters[key]
        self.index.remove(key)

    def assert_agree(self, payload: Json) -> None:
        expected = sorted(key for key, one in self.filters.items() if one.matches(payload))
        assert sorted(self.index.matching(payload)) == expected
        assert len(self.index) == len(self.filters)


def index_of(forms: dict[int, Json]) -> FilterIndex:
    return Both(forms).index


@settings(max_examples=300)
@given(CHANGES, st.lists(PAYLOADS, min_size=1, max_size=3))
def test_answers_as_one_by_one(changes: list[tuple[int, Json]], payloads: list[Json]) -> None:
    both = Both()
    for key, form in changes:
        if form is not None:
            both.put(key, form)
        elif key in both.filters:
            both.remove(key)
        for payload in payloads:
            both.assert_agree(payload)


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
    min_size=40,
    max_size=80,
)


@settings(max_examples=60)
@given(CROWDS, st.lists(PAYLOADS, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_answers_as_one_by_one_when_crowded(
    forms: list[Json], payloads: list[Json], random: Json
) -> None:
    """Buckets become branches and vanish; filters come back, replace others, and go."""
    both = Both(dict(enumerate(forms)))
    for _ in range(40):
        key, form = random.randrange(2 * len(forms)), random.choice([None, *forms])
        if form is not None:
            both.put(key, form)
        elif key in both.filters:
            both.remove(key)
        for payload in payloads:
            both.assert_agree(payload)
    for key in list(both.filters):
        both.remove(key)
    both.assert_agree({})


def test_filters_about_the_whole_payload() -> None:
    forms = [
        {"$eq": {"a": 1}},
        {"$exist": True},
        {"$in": [{"a": 1}, 2]},
        {"$and": [{"$exist": True}]},
    ]
    both = Both(dict(enumerate(forms)))
    assert sorted(both.index.matching({"a": 1})) == [0, 1, 2, 3]
    both.assert_agree({"a": 2})


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=40), NUMBERS)
def test_finds_ranges(ranges: list[tuple[Json, Json]], number: Json) -> None:
    pairs = enumerate(ranges)
    both = Both({key: {"a": {"$gte": low, "$lte": high}} for key, (low, high) in pairs})
    both.assert_agree({"a": number})


@pytest.mark.parametrize("operator", ["$gt", "$gte", "$lt", "$lte"])
def test_finds_numbers_beside_what_is_no_number(operator: str) -> None:
    """A payload that was not JSON before may hold one: NaN is neither above nor below anything."""
    both = Both({key: {"a": {operator: key}} for key in range(20)})
    for values in ([float("nan"), 5], [5, float("nan")], [float("nan")]):
        both.assert_agree({"a": values})


EVERY_RULE = Both(dict(enumerate(form for form, _ in HITS + MISSES)))
ENDS = st.text(st.sampled_from("ab\0\U0010ffff"), max_size=3) | st.text(
    "ab", min_size=30, max_size=35
)


@given(st.lists(st.tuples(ENDS, ENDS), min_size=1, max_size=40), ENDS)
def test_finds_ranges_of_text(ranges: list[tuple[str, str]], text: str) -> None:
    pairs = enumerate(ranges)
    both = Both({key: {"a": {"$gte": low, "$lt": high}} for key, (low, high) in pairs})
    both.assert_agree({"a": text})


PHRASES = st.lists(st.sampled_from(["", "a", "ba", "abb", "bab", "abab"]), max_size=6).map(" ".join)
# So many that a text is looked at by its spaces, not each phrase looked for in it.
EVERY_GAP = [f"{a}{b}{c} {d}{e}" for a, b, c, d, e in product("ab", repeat=5)]


@given(st.lists(PHRASES, max_size=10), PHRASES)
def test_finds_phrases(phrases: list[str], text: str) -> None:
    forms = [{"a": {"$contains": phrase}} for phrase in EVERY_GAP + phrases]
    Both(dict(enumerate(forms))).assert_agree({"a": text})


def test_filters_that_have_very_much_in_common_are_no_matter() -> None:
    """Branches within branches are bounded, and so is the recursion that makes them."""
    alike = {f"a{number}": 1 for number in range(900)}
    index = index_of({key: {**alike, "b": key} for key in range(40)})
    assert index.matching({**alike, "b": 7}) == [7]


def test_what_one_branch_knows_another_has_to_ask() -> None:
    """A filter under two values, of which one has so many filters that they are told apart by b."""
    both = Both({key: {"a": 1, "b": key} for key in range(40)})
    both.put(40, {"a": {"$in": [1, 2]}, "b": {"$in": [5]}})
    for a, b in product([1, 2], [5, 6]):
        both.assert_agree({"a": a, "b": b})


PARTS = ["".join(letters) for size in range(1, 8) for letters in product("ab ", repeat=size)]
# So long that all branches look at it together.
LONG = st.text("ab ", max_size=30).map(lambda text: "-" * 600 + text)


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from([20, 150]), min_size=4, max_size=6),
    LONG,
    st.integers(),
)
def test_finds_parts_of_long_texts(crowds: list[int], text: str, seed: int) -> None:
    """In the branches of a list's elements, too, which share what they have looked for."""
    both = Both()
    for tag, crowd in enumerate(crowds):
        for part in Random(seed + tag).sample(PARTS, crowd):
            both.put(len(both.filters), {"a": {"$in": [tag]}, "b": {"$contains": part}})
    both.assert_agree({"a": list(range(len(crowds))), "b": text})


@pytest.mark.parametrize("payload", [payload for _, payload in HITS + MISSES], ids=repr)
def test_answers_as_the_rules_say(payload: Json) -> None:
    EVERY_RULE.assert_agree(payload)


def test_of_nothing_finds_nothing() -> None:
    assert FilterIndex().matching({"a": 1}) == []


@pytest.mark.parametrize(("operator", "form"), [("$startsWith", "{}{}"), ("$endsWith", "{1}{0}")])
def test_long_texts_that_are_alike_at_first_are_told_apart(operator: str, form: str) -> None:
    index = index_of({1: {"a": {operator: form.format("x" * AFFIX, "y")}}})
    assert index.matching({"a": form.format("x" * AFFIX, "y")}) == [1]
    assert index.matching({"a": form.format("x" * AFFIX, "z")}) == []


def test_one_of_several_conditions_that_is_known_to_hold_says_nothing_of_the_others() -> None:
    index = index_of({1: {"a": {"$or": [{"$in": [1]}, {"$gt": 5}]}}})
    assert [index.matching({"a": value}) for value in (1, 5, 6)] == [[1], [], [1]]


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


def alive() -> int:
    """How many objects of the filter language there are, wherever they are kept."""
    return sum(str(type(one).__module__).startswith("durian.match") for one in gc.get_objects())


def size_of(index: FilterIndex) -> int:
    """How many objects an index is made of, what it has from elsewhere not counted."""
    elsewhere = (type, FunctionType, ModuleType)
    seen: dict[int, object] = {}
    found: list[object] = [index]
    for one in found:  # which grow meanwhile
        if id(one) not in seen and not isinstance(one, elsewhere):
            seen[id(one)] = one
            found += gc.get_referents(one)
    return len(seen)


def come_and_go(index: FilterIndex, turn: int) -> None:
    form = {"a": turn % 3, f"b{turn}": {"$gt": turn}, "c": {"$contains": f"x{turn}"}}
    alike: list[Json] = [{**form, "key": key} for key in range(40)]
    ends: list[Json] = [{"d": {"$gt": turn + key / 100}} for key in range(40)]
    texts: list[Json] = [{"e": {"$startsWith": f"{key:0{turn + 3}}"}} for key in range(40)]
    forms = dict(enumerate(alike + ends + texts))
    for key, one in forms.items():
        index.add(key, parse(one))
    for key in forms:
        index.remove(key)


def test_keeps_nothing_of_what_was_removed() -> None:
    """A site whose listeners come and go does not grow.

    No garbage is collected: listeners in memory are kept out of the collector's way.
    """
    index = index_of({1000: {"d": {"$gt": -1.5}}, 1001: {"e": {"$startsWith": "x"}}})
    come_and_go(index, 0)
    gc.collect()
    gc.disable()
    try:
        before = alive(), size_of(index)
        for turn in range(1, 20):
            come_and_go(index, turn)
        assert (alive(), size_of(index)) == before
    finally:
        gc.enable()


def asked_by(monkeypatch: pytest.MonkeyPatch, kind: type[Condition]) -> list[object]:
    """Return a list that fills with the values about which conditions of that kind are asked."""
    asked: list[object] = []
    matches = kind.matches

    def note(condition: Condition, value: object) -> bool:
        asked.append(value)
        return matches(condition, value)

    monkeypatch.setattr(kind, "matches", note)
    return asked


def test_evaluates_few_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 8,000 filters that differ by three fields together, those alike in one are not asked."""
    index = index_of(
        {key: {"a": key % 20, "b": key // 20 % 20, "c": key // 400} for key in range(8000)}
    )
    asked = asked_by(monkeypatch, Fields)
    assert index.matching({"a": 7, "b": 8, "c": 9}) == [7 + 20 * 8 + 400 * 9]
    assert len(asked) < 80


def test_a_phrase_is_not_asked_about_for_its_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(1)
    words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(400)]
    index = index_of(
        {key: {"a": {"$contains": f"{words[key]} {words[-key]}"}} for key in range(200)}
    )
    asked = asked_by(monkeypatch, Contains)
    assert index.matching({"a": f"{' '.join(words[:200])} {words[-7]}"}) == []
    assert index.matching({"a": f"{words[7]} {words[-7]}"}) == [7]
    assert len(asked) < 10


def test_phrases_alike_around_their_spaces_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of({key: {"a": {"$contains": f"order no {key:06}x"}} for key in range(300)})
    asked = asked_by(monkeypatch, Contains)
    assert index.matching({"a": "of the order no 000123x"}) == [123]
    assert len(asked) < 50


def test_asks_what_many_filters_have_in_common_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing but a regular expression or a negation tells filters apart."""
    index = index_of(
        {
            key: {"a": {"$regex": "x$"}, "b": {"$neq": key % 2}, f"c{key}": {"$neq": 1}}
            for key in range(100)
        }
    )
    asked = asked_by(monkeypatch, Like)
    assert len(index.matching({"a": "x", "b": 1})) == 50
    assert asked == ["x"]


def test_looks_at_no_field_that_no_filter_names() -> None:
    class Watched(dict[str, Json]):
        def __getitem__(self, name: str) -> Json:
            raise AssertionError(f"{name} was looked at")

        def items(self) -> Json:
            raise AssertionError("all were looked at")

        values = items

    index = index_of({1: {"a": 1}, 2: {"b": {"c": {"$gt": 1}}}})
    assert index.matching({"d": 1, "b": Watched(d=2)}) == []
    assert index.matching(Watched(d=1)) == []


def test_takes_a_hostile_payload() -> None:
    deep: Json = 1
    for _ in range(100_000):
        deep = {"a": [deep]}
    index = index_of({1: {"a": {"a": 1}}, 2: {"a": {"$gt": 1, "$lt": 2}}, 3: {"a": {"$regex": ""}}})
    for value in (deep, 10**100_000, float("nan"), float("inf"), "\ud800\0", "x" * 1_000_000):
        assert index.matching({"a": value}) == ([3] if isinstance(value, str) else [])

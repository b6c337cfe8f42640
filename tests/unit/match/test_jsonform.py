"""The JSON of filters: what each operator means, what is refused, and that it reads back."""

import json
from collections.abc import Callable
from typing import Any as Json

import pytest
from django.utils.safestring import SafeString
from hypothesis import given, settings

from durian.errors import InvalidFilter
from durian.match import (
    Any,
    Contains,
    Endswith,
    Filter,
    Is,
    Like,
    Startswith,
    deepmatch,
    parse,
    to_json,
)
from durian.match.compound import Fields
from tests.unit.match.strategies import FILTERS, PAYLOADS

HITS: list[tuple[Json, Json]] = [
    ({}, {}),
    ({}, {"a": 1}),
    ({"a": "x"}, {"a": "x", "b": 1}),
    ({"a": 1}, {"a": 1.0}),
    ({"a": None}, {"a": None}),
    ({"a": True}, {"a": True}),
    # lists
    ({"a": "x"}, {"a": ["y", "x"]}),
    ({"a": ["x", "y"]}, {"a": ["y", "z", "x"]}),
    ({"a": []}, {"a": []}),
    ({"a": {"b": 1}}, {"a": [{"b": 2}, {"b": 1}]}),
    ({"a": [{"b": 1}, {"c": 2}]}, {"a": [{"b": 1, "c": 3}, {"c": 2}]}),
    ({"a": {"$gt": 5}}, {"a": [1, 10]}),
    ({"a": {"$gt": 1, "$lt": 5}}, {"a": [0, 3]}),
    ({"a": {"$in": ["x", "y"]}}, {"a": ["z", "y"]}),
    ({"a": {"$eq": ["x"]}}, {"a": ["x"]}),
    ({"a": [{"$and": [1]}]}, {"a": [[1]]}),
    ({"a": [{"$contains": "o"}]}, {"a": ["Joe"]}),
    ({"a": {"$not": "x"}}, {"a": ["y"]}),
    # nested objects
    ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 1}}}),
    ({"a": {}}, {"a": {"b": 1}}),
    # operators
    ({"a": {"$eq": 1}}, {"a": 1}),
    ({"a": {"$neq": 1}}, {"a": 2}),
    ({"a": {"$neq": 1}}, {"a": "1"}),
    ({"a": {"$neq": "x"}}, {"a": ["x"]}),
    ({"a": {"$gt": 1}}, {"a": 1.5}),
    ({"a": {"$gte": 1}}, {"a": 1}),
    ({"a": {"$lt": 1}}, {"a": -(10**400)}),
    ({"a": {"$lte": 1}}, {"a": 1}),
    ({"a": {"$gt": "2026-01-01"}}, {"a": "2026-01-01T00:00:00Z"}),
    ({"a": {"$in": [1, None]}}, {"a": None}),
    ({"a": {"$in": [[1]]}}, {"a": [1]}),
    ({"a": {"$nin": [1, 2]}}, {"a": 3}),
    ({"a": {"$nin": [1]}}, {"a": True}),
    ({"a": {"$startsWith": "J"}}, {"a": "Joe"}),
    ({"a": {"$endsWith": "e"}}, {"a": "Joe"}),
    ({"a": {"$contains": "o"}}, {"a": "Joe"}),
    ({"a": {"$contains": 3}}, {"a": [3]}),
    ({"a": {"$regex": "^J"}}, {"a": "Joe"}),
    ({"a": {"$exist": True}}, {"a": None}),
    ({"a": {"$exist": False}}, {}),
    ({"a": {"$any": True}}, {}),
    ({"a": {"$or": [1, {"$gt": 5}]}}, {"a": 6}),
    ({"a": {"$and": [{"$gt": 5}, {"$lt": 2}]}}, {"a": [1, 6]}),
    ({"$or": [{"a": 1}, {"b": 1}]}, {"b": 1}),
    ({"$or": [{"a": 1}, {"b": 1}], "c": 2}, {"b": 1, "c": 2}),
    ({"$not": {"a": 1}}, {"a": 2}),
    ({"a": {"b": 1, "$neq": {"b": 1}}}, {"a": {"b": 1, "c": 2}}),
    # a missing key and what matches it
    ({"a": {"$eq": None}}, {}),
    ({"a": {"$neq": 1}}, {}),
    ({"a": {"$nin": [1]}}, {}),
    ({"a": {"$not": 1}}, {}),
    ({"$not": {"a": {"b": 1}}}, {}),
]
MISSES: list[tuple[Json, Json]] = [
    ({"a": {"$regex": "[?]"}}, {"a": "\ud800"}),
    ({"a": "x"}, {}),
    ({"a": "1"}, {"a": 1}),
    ({"a": 1}, {"a": True}),
    ({"a": False}, {"a": 0}),
    ({"a": "x"}, {"a": [["x"]]}),
    ({"a": ["x", "y"]}, {"a": ["x"]}),
    ({"a": ["x"]}, {"a": "x"}),
    ({"a": []}, {}),
    ({"a": {"b": 1, "c": 2}}, {"a": [{"b": 1}, {"c": 2}]}),
    ({"a": {"$gt": 1, "$lt": 5}}, {"a": [0, 10]}),
    ({"a": {"$eq": "x"}}, {"a": ["x"]}),
    ({"a": {"$not": "x"}}, {"a": ["x", "y"]}),
    ({"a": {"$nin": ["x"]}}, {"a": ["x", "y"]}),
    ({"a": {"$neq": None}}, {}),
    ({"a": {"b": 1}}, {"a": 1}),
    ({"a": {"b": {"$neq": 1}}}, {"a": 1}),
    ({"a": {"b": {"$exist": False}}}, {}),
    ({"a": {}}, {"a": 1}),
    ({"a": {}}, {}),
    ({"a": {"$gt": 1}}, {"a": "2"}),
    ({"a": {"$lt": 5}}, {"a": True}),
    ({"a": {"$lt": "5"}}, {"a": 1}),
    ({"a": {"$lt": 5}}, {"a": None}),
    ({"a": {"$lt": 5}}, {"a": float("nan")}),
    ({"a": {"$gt": 1}}, {}),
    ({"a": {"$lte": 1}}, {}),
    ({"a": {"$in": []}}, {"a": 1}),
    ({"a": {"$in": [None]}}, {}),
    ({"a": {"$in": [1]}}, {"a": True}),
    ({"a": {"$startsWith": ""}}, {}),
    ({"a": {"$startsWith": "1"}}, {"a": 1}),
    ({"a": {"$contains": "o"}}, {"a": ["Joe"]}),
    ({"a": {"$regex": ""}}, {}),
    ({"a": {"$exist": True}}, {}),
    ({"a": {"$exist": False}}, {"a": None}),
    ({"a": None}, {}),
    ({"$and": [{"a": 1}, {"b": 1}]}, {"a": 1}),
    ({"a": {"$not": {"$any": True}}}, {}),
]

REFUSED: list[tuple[Json, str]] = [
    ({"address": {"city": {"$startsWith": 3}}}, "address.city: $startsWith takes a string, not 3"),
    ({"a": {"$foo": 1}}, "a: $foo is not an operator; these are: $eq $neq"),
    ({"$foo": 1}, "$foo is not an operator"),
    ({"a": {"$gt": None}}, "a: $gt takes a number or a string, not null"),
    ({"a": {"$gt": True}}, "a: $gt takes a number or a string, not true"),
    ({"a": {"$in": "x"}}, 'a: $in takes a list, not "x"'),
    ({"a": {"$nin": 3}}, "a: $nin takes a list, not 3"),
    ({"a": {"$exist": 1}}, "a: $exist takes true or false, not 1"),
    ({"a": {"$any": False}}, "a: $any takes true, not false"),
    ({"a": {"$or": []}}, "a: $or takes a list of conditions, not []"),
    ({"$and": {"a": 1}}, '$and takes a list of conditions, not {"a": 1}'),
    ({"$or": [{}, {"a": {"$lt": []}}]}, "$or[1].a: $lt takes a number or a string, not []"),
    ({"a": [1, {"$foo": 1}]}, "a[1]: $foo is not an operator"),
    ({"a": {"$not": {"$foo": 1}}}, "a.$not: $foo is not an operator"),
    ({"a": {"$regex": "("}}, 'a: $regex: "(" is refused: missing )'),
    ({"a": float("inf")}, "inf is not a JSON value"),
    ({"a": {1: 2}}, "a: the keys of a JSON object are strings, not 1"),
    ({"a": object()}, "a: a bare value: object is not a JSON type"),
    ({"a": 10**5000}, "cannot be written as JSON"),
    ([], "a filter is a JSON object, not []"),
    (None, "a filter is a JSON object, not null"),
]


@pytest.mark.parametrize(("form", "payload"), HITS, ids=repr)
def test_matches(form: Json, payload: Json) -> None:
    assert parse(form).matches(payload)
    assert deepmatch(form, payload)


@pytest.mark.parametrize(("form", "payload"), MISSES, ids=repr)
def test_does_not_match(form: Json, payload: Json) -> None:
    assert not parse(form).matches(payload)
    assert not deepmatch(form, payload)


@pytest.mark.parametrize(("form", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refuses_and_says_where_and_why(form: Json, message: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse(form)
    assert message in str(caught.value)


def nested(depth: int) -> Json:
    form: Json = 1
    for _ in range(depth):
        form = {"a": form}
    return form


def test_is_nested_at_most_ten_levels_deep() -> None:
    assert parse(nested(10)).matches(nested(10))
    for depth in (11, 100_000):
        with pytest.raises(InvalidFilter, match="deeper than 10 levels"):
            parse(nested(depth))


def test_counts_the_levels_of_a_matching_class() -> None:
    wrapped: Json = Startswith("x")
    for _ in range(10):
        wrapped = {"a": wrapped}
    with pytest.raises(InvalidFilter, match="deeper than 10 levels"):
        parse(wrapped)


def test_has_at_most_a_thousand_conditions() -> None:
    parse({str(number): 1 for number in range(1000)})
    with pytest.raises(InvalidFilter, match="1001 conditions; 1000 are allowed"):
        parse({str(number): 1 for number in range(1001)})


def test_is_at_most_64_kilobytes() -> None:
    parse({"a": "é" * 32_000})
    for value in ("é" * 33_000, Is("é" * 33_000)):
        with pytest.raises(InvalidFilter, match="bytes of JSON; 65536 are allowed"):
            parse({"a": value})


LARGE: list[Json] = [
    {"a": [1] * 1001},
    {"a": "\U0001f600" * 17_000},
    {"a": [{"$regex": ""}] * 21},
]


@pytest.mark.parametrize("form", LARGE, ids=lambda form: repr(form)[:20])
def test_is_as_large_when_it_was_read_from_a_text(form: Json) -> None:
    for text in (json.dumps(form, separators=(",", ":"), ensure_ascii=False), json.dumps(form)):
        with pytest.raises(InvalidFilter, match="are allowed"):
            parse(json.loads(text), len(text))


CLASSES: list[tuple[Json, Json]] = [
    ({"a": Any()}, {"a": {"$any": True}}),
    ({"a": Is("x")}, {"a": {"$eq": "x"}}),
    ({"a": Startswith("x")}, {"a": {"$startsWith": "x"}}),
    ({"a": Endswith("x")}, {"a": {"$endsWith": "x"}}),
    ({"a": Contains("x")}, {"a": {"$contains": "x"}}),
    ({"a": Like("x")}, {"a": {"$regex": "x"}}),
    (
        {"name": Startswith("J"), "address": {"city": "X"}},
        {"name": {"$startsWith": "J"}, "address": {"city": "X"}},
    ),
]


@pytest.mark.parametrize(("python", "form"), CLASSES, ids=repr)
def test_classes_and_operators_are_two_spellings(python: Json, form: Json) -> None:
    assert to_json(python) == form
    assert parse(python) == parse(form)
    assert hash(parse(python)) == hash(parse(form))


def test_order_of_keys_means_nothing() -> None:
    assert parse({"a": {"$gt": 1, "$lt": 5}, "b": 1}) == parse({"b": 1, "a": {"$lt": 5, "$gt": 1}})
    assert parse({"a": 1}) != parse({"a": True})


@given(FILTERS)
def test_reads_back(form: Json) -> None:
    filter = parse(form)
    assert to_json(filter) == form
    assert parse(to_json(filter)) == filter


@settings(max_examples=300)
@given(FILTERS, PAYLOADS)
def test_never_raises_and_not_is_the_complement(form: Json, payload: Json) -> None:
    assert parse({"$not": form}).matches(payload) is not parse(form).matches(payload)


@given(FILTERS, FILTERS, PAYLOADS)
def test_or_and_and_are_what_they_say(one: Json, other: Json, payload: Json) -> None:
    answers = [parse(one).matches(payload), parse(other).matches(payload)]
    assert parse({"$or": [one, other]}).matches(payload) is any(answers)
    assert parse({"$and": [one, other]}).matches(payload) is all(answers)


def deep_list() -> Json:
    value: Json = []
    for _ in range(100_000):
        value = [value]
    return value


HOSTILE: list[Callable[[], Json]] = [
    lambda: nested(100_000),
    deep_list,
    lambda: 10**100_000,
    lambda: float("nan"),
    lambda: "\ud800",
    lambda: "\0",
    lambda: "x" * 10_000_000,
]
EVERY_OPERATOR: list[Json] = [
    {"$eq": [[1]]},
    {"$neq": {"a": {"a": 1}}},
    {"$gt": 1.5},
    {"$lte": "x"},
    {"$in": [1, [1], {"a": 1}]},
    {"$nin": ["x"]},
    {"$startsWith": "x"},
    {"$endsWith": "y"},
    {"$contains": "y"},
    {"$contains": [1]},
    {"$regex": "x.*y"},
    {"$exist": True},
    {"a": {"a": 1}},
    [[1]],
    1,
]


@pytest.mark.parametrize("make", HOSTILE)
def test_answers_for_hostile_payloads(make: Callable[[], Json]) -> None:
    value = make()
    for condition in EVERY_OPERATOR:
        for payload in ({"a": value}, {"a": [value]}):
            assert parse({"a": condition}).matches(payload) in (True, False)


def test_a_lone_surrogate_is_no_obstacle() -> None:
    assert parse({"a": {"$regex": "x$"}}).matches({"a": "\ud800x"})


def test_filters_share_the_names_of_their_fields() -> None:
    """A million of them keep each name once."""
    text = '{"a field with a name of its own": 1}'
    one, other = parse(json.loads(text)), parse(json.loads(text))
    assert isinstance(one.condition, Fields)
    assert isinstance(other.condition, Fields)
    assert one.condition.value[0][0] is other.condition.value[0][0]
    assert parse({SafeString("a"): 1}).matches({"a": 1})


def test_filter_shows_what_it_asks() -> None:
    assert repr(parse({"a": Startswith("x")})) == "Filter(Fields((('a', Startswith('x')),)))"
    assert parse({}) != {}
    assert isinstance(parse({}), Filter)

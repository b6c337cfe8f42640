"""A filter that costs too much counts as passed, is named, and holds nobody else up."""

import random
from typing import Any as Json

import pytest

from durian.errors import InvalidFilter
from durian.match import FilterIndex, parse
from durian.match.effort import FILTER_STEPS, spend
from durian.match.jsonform import MAX_REGEXES

LIST = [0] * 100_000
TEXT = "".join(random.Random(1).choices("ab", k=250_000))
# Its automaton has a state for each of the last 400 letters: too many to be kept.
EXPLOSIVE = "(a|b)*a(a|b){400}c"
OBJECT = {str(n): 0 for n in range(100)}

COSTLY: dict[str, tuple[Json, Json]] = {
    "or": ({"a": {"$or": [{"$eq": number} for number in range(1, 990)]}}, [LIST] * 100),
    "bare values": ({"$or": [{"a": number} for number in range(1, 990)]}, LIST),
    "members": ({"a": [*[{"$neq": 1}] * 900, 1]}, LIST),
    "lists in a list": ({"a": {"$in": [[n] for n in range(1, 8000)]}}, [[0]] * 50_000),
    "lists of another length in a list": (
        {"a": {"$in": [[n, n] for n in range(1, 4000)]}},
        [[0]] * 50_000,
    ),
    "objects in a list": ({"a": {str(n): {"$neq": 1} for n in range(900)}}, [{}] * 100_000),
    "ranges": ({"$or": [{"a": {"$gt": n, "$lt": n + 2}} for n in range(1, 400)]}, LIST),
    "contains": ({"$or": [{"a": {"$contains": n}} for n in range(1, 990)]}, LIST),
    "lists of lists": (
        {"a": {"$in": [[[0] * 300 + [n]] for n in range(1, 50)]}},
        [[[0] * 301]] * 200,
    ),
    "objects": (
        {"$or": [{"a": {"$contains": {**OBJECT, "x": n}}} for n in range(1, 50)]},
        [{**OBJECT, "x": 0}] * 500,
    ),
    "equal but for one": (
        {"$or": [{"a": {"b": {"$eq": [0] * 300 + [n]}}} for n in range(1, 50)]},
        [{"b": [0] * 301}] * 200,
    ),
    "parts of a text": ({"$or": [{"a": {"$contains": f"a{n}"}} for n in range(1, 400)]}, TEXT),
    "long parts of short texts": (
        {"$or": [{"a": {"b": {"$contains": "a" * 600 + f"{n:03}"}}} for n in range(1, 60)]},
        [{"b": "a" * 2000}] * 100,
    ),
    "a regular expression": ({"a": {"$regex": EXPLOSIVE}}, TEXT),
    "regular expressions": (
        {"$or": [{"a": {"$regex": f"{EXPLOSIVE}{n}"}} for n in range(MAX_REGEXES)]},
        [TEXT[start : start + 1000] for start in range(0, 250_000, 1000)],
    ),
}


@pytest.mark.parametrize("kind", COSTLY.keys() - {"or"})
def test_what_costs_too_much_counts_as_passed_and_is_named(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    form, value = COSTLY[kind]
    filter = parse(form)
    assert filter.matches({"a": value})
    assert "1 conditions take too many steps on an event and count as met" in caplog.text
    assert repr(filter.condition)[:40] in caplog.text
    caplog.clear()
    assert not filter.matches({"a": value[:0]})
    assert caplog.text == ""


def test_a_list_in_a_list_is_looked_at_as_one_thing() -> None:
    form, value = COSTLY["or"]
    assert not parse(form).matches({"a": value})


def test_the_others_get_their_exact_answers_whatever_the_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    index = FilterIndex()
    for key in range(100):
        index.add(key, parse({"a": {"$regex": f"{EXPLOSIVE}{key}"}}))
    index.add(1000, parse({"a": {"$regex": "^a|^b"}, "b": 1}))
    index.add(1001, parse({"b": [1, 2], "a": {"$startsWith": TEXT[:40]}}))
    index.add(1002, parse({"b": 3}))
    found = index.matching({"a": TEXT, "b": [1, 2]})
    assert {1000, 1001} < set(found)
    assert 1002 not in found
    assert "take too many steps" in caplog.text
    assert caplog.text.count("WARNING") == 1
    caplog.clear()
    assert index.matching({"a": TEXT[:10], "b": 3}) == [1002], "another event begins anew"
    assert caplog.text == ""


def test_who_came_first_is_asked_first_while_there_are_steps_left() -> None:
    index, keys = FilterIndex(), list(range(50))
    for key in keys:
        index.add(key, parse({"a": {"$regex": f"{EXPLOSIVE}{key}"}}))
    too_late = sorted(index.matching({"a": TEXT}))
    assert 0 < len(too_late) < len(keys)
    assert too_late == keys[-len(too_late) :]


def test_outside_of_a_filter_nothing_is_counted() -> None:
    spend(FILTER_STEPS * 100)


def test_a_filter_has_so_many_regular_expressions_and_no_more() -> None:
    parse({str(number): {"$regex": "x"} for number in range(MAX_REGEXES)})
    with pytest.raises(InvalidFilter, match="21 regular expressions; 20 are allowed: join them"):
        parse({str(number): {"$regex": "x"} for number in range(MAX_REGEXES + 1)})


@pytest.mark.parametrize(
    "pattern",
    [
        "(a{1000}){1000}",
        "((((a{1,99}){1,99}){1,99}){1,99})",
        r"\pL{30}",
        ".{1000}",
        "a{1001}",
        r"(?:\pL?)" * 3000,
        r"(a)\1",
        "(?=a)",
        "\ud800",
        "[",
        "(?P<a",
        "\\",
    ],
    ids=lambda pattern: ascii(pattern)[:30],
)
def test_a_pattern_that_is_too_large_or_none_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidFilter, match=r"a: \$regex"):
        parse({"a": {"$regex": pattern}})


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*x", "a{1000}", r"^\pL+$", "\0"])
def test_a_pattern_that_others_hang_on_is_no_matter(pattern: str) -> None:
    assert parse({"a": {"$regex": pattern}}).matches({"a": "a" * 10_000 + "!"}) in (True, False)

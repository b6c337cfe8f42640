"""What the six matching classes match, and what kind of values they are."""

import copy
import pickle

import pytest

from durian.errors import InvalidFilter
from durian.match import Any, Contains, Endswith, Is, Like, Startswith, deepmatch
from durian.match.condition import Condition

MATCHERS = [Any(), Is("x"), Startswith("x"), Endswith("x"), Contains("x"), Like("x")]

HITS = [
    (Any(), None),
    (Any(), {"deep": [1]}),
    (Is("x"), "x"),
    (Is(1), 1.0),
    (Is(None), None),
    (Is([1, {"a": True}]), [1, {"a": True}]),
    (Startswith("Jo"), "Joe"),
    (Startswith(""), ""),
    (Startswith("Jo"), ["Ann", "Joe"]),
    (Endswith("oe"), "Joe"),
    (Endswith("oe"), ["Ann", "Joe"]),
    (Contains("o"), "Joe"),
    (Contains("o"), ["o", 1]),
    (Contains(1), [1]),
    (Contains({"a": 1}), [{"a": 1}]),
    (Like("^J.e$"), "Joe"),
    (Like("o"), "Joe"),
    (Like("o"), ["Ann", "Joe"]),
    (Like("."), "\0"),
]
MISSES = [
    (Is("1"), 1),
    (Is(1), "1"),
    (Is(1), True),
    (Is(True), 1),
    (Is(0), False),
    (Is(None), False),
    (Is("x"), ["x"]),
    (Is([1]), [True]),
    (Is([1]), 1),
    (Is({"a": 1}), {"a": 1, "b": 2}),
    (Is({"a": 1}), {"a": True}),
    (Startswith("J"), "ann"),
    (Startswith("1"), 1),
    (Startswith("J"), None),
    (Endswith("1"), 1),
    (Contains("o"), 1),
    (Contains("o"), ["Joe"]),
    (Contains("o"), {"o": 1}),
    (Contains(1), "1"),
    (Contains(1), [True]),
    (Like("1"), 1),
    (Like("^o"), "Joe"),
]


@pytest.mark.parametrize(("matcher", "value"), HITS, ids=repr)
def test_matches(matcher: Condition, value: object) -> None:
    assert matcher.matches(value)
    assert deepmatch({"field": matcher}, {"field": value})


@pytest.mark.parametrize(("matcher", "value"), MISSES, ids=repr)
def test_does_not_match(matcher: Condition, value: object) -> None:
    assert not matcher.matches(value)
    assert not deepmatch({"field": matcher}, {"field": value})


@pytest.mark.parametrize("matcher", [Any(), Is(None)], ids=repr)
def test_matches_a_missing_field(matcher: Condition) -> None:
    assert deepmatch({"field": matcher}, {})


@pytest.mark.parametrize("matcher", MATCHERS[1:], ids=repr)
def test_does_not_match_a_missing_field(matcher: Condition) -> None:
    assert not deepmatch({"field": matcher}, {})


@pytest.mark.parametrize("matcher", MATCHERS, ids=repr)
def test_is_a_value(matcher: Condition) -> None:
    twin = type(matcher)(matcher.value)
    assert matcher == twin
    assert hash(matcher) == hash(twin)
    assert pickle.loads(pickle.dumps(matcher)) == matcher  # noqa: S301 - made a moment ago
    assert copy.deepcopy(matcher) == matcher


def test_are_all_different() -> None:
    assert len(set(MATCHERS)) == len(MATCHERS)
    assert Is(1) != Is(True)
    assert Is([1]) != Is([True])
    assert Is(1) == Is(1.0)


def test_show_their_class_and_value() -> None:
    assert repr(Is("x")) == "Is('x')"
    assert repr(Any()) == "Any()"
    assert Startswith("J").value == "J"


def test_cannot_be_changed() -> None:
    matcher = Is("x")
    with pytest.raises(AttributeError):
        matcher.value = "y"


def test_keep_their_own_copy_of_a_list() -> None:
    wanted = [1]
    matcher = Is(wanted)
    wanted.append(2)
    assert matcher.matches([1])


def test_compared_with_a_value_says_whether_it_matches() -> None:
    assert Startswith("J") == "Joe"
    assert Startswith("J") != "Ann"


@pytest.mark.parametrize("make", [Startswith, Endswith, Like])
def test_of_text_take_text_only(make: type[Condition]) -> None:
    with pytest.raises(InvalidFilter, match="takes a string, not 3"):
        make(3)


@pytest.mark.parametrize("pattern", ["(", "(?=x)", r"(x)\1", "((x{900}){900}){900}", "\ud800"])
def test_like_refuses_what_re2_refuses(pattern: str) -> None:
    with pytest.raises(InvalidFilter, match=r"\$regex"):
        Like(pattern)


@pytest.mark.parametrize("value", [float("nan"), {1: 2}, (1,), object()], ids=type)
def test_is_refuses_what_is_not_json(value: object) -> None:
    with pytest.raises(InvalidFilter, match="JSON"):
        Is(value)


def test_like_is_linear() -> None:
    # Backtracking would take 2 to the power of 5,000 steps.
    assert not Like("(x+x+)+y").matches("x" * 5_000)

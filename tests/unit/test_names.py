import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durian.errors import ConfigurationError
from durian.names import check_name, check_pattern, fits, is_pattern

words = st.sampled_from(["a", "b", "order", "paid-2", "x_y"])
names = st.lists(words, min_size=1, max_size=5).map(".".join)
patterns = st.lists(words | st.sampled_from(["*", "#"]), min_size=1, max_size=5).map(".".join)


def topic(pattern: list[str], name: list[str]) -> bool:
    """What AMQP says of topic exchanges, word for word."""
    if not pattern:
        return not name
    head, *rest = pattern
    if head == "#":
        return any(topic(rest, name[skip:]) for skip in range(len(name) + 1))
    return bool(name) and head in ("*", name[0]) and topic(rest, name[1:])


@given(pattern=patterns, name=names)
def test_a_pattern_stands_for_what_a_topic_exchange_would_route(pattern: str, name: str) -> None:
    assert fits(pattern, name) == topic(pattern.split("."), name.split("."))


@given(name=names)
def test_a_name_fits_itself_and_no_other(name: str) -> None:
    assert fits(check_name(name), name)
    assert not is_pattern(name)
    assert not fits(name, f"{name}.more")
    assert not fits(name, f"{name}x")


@pytest.mark.parametrize("pattern", ["article.*", "#", "*", "a.#.b", "article"])
def test_patterns_are_what_a_listener_may_ask_for(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize("pattern", ["", "a.", "a*", "a.**", "a b", "a\n", "#" * 2, "x" * 201])
def test_what_is_no_pattern_is_refused_with_the_rule(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="words joined by dots"):
        check_pattern(pattern)


def test_many_wildcards_do_not_take_for_ever() -> None:
    pattern = ".".join(itertools.repeat("#.a", 40)) + ".b"
    assert not fits(pattern, ".".join(["a"] * 90))

"""Very many patterns, found as asking each of them would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durian.names import fits
from durian.patterns import Patterns
from tests.unit.test_names import names, patterns

CHANGES = st.lists(st.tuples(patterns, st.booleans()), max_size=30)


@given(CHANGES, st.lists(names, min_size=1, max_size=5))
def test_finds_what_asking_each_would(changes: list[tuple[str, bool]], asked: list[str]) -> None:
    kept: set[str] = set()
    many: Patterns[str] = Patterns()
    for pattern, is_put in changes:
        if is_put:
            kept.add(pattern)
            many.put(pattern, pattern)
        elif pattern in kept:
            kept.remove(pattern)
            many.drop(pattern)
    for name in asked:
        assert sorted(many.fitting(name)) == sorted(one for one in kept if fits(one, name))
    for pattern in kept:
        assert many.get(pattern) == pattern
        many.drop(pattern)
        assert many.get(pattern) is None
    assert not any(map(many.fitting, asked))


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b"])
def test_what_is_no_name_fits_none(name: str) -> None:
    many: Patterns[str] = Patterns()
    for pattern in ("#", "*", "*.*", "*.*.*", "a.#"):
        assert not fits(pattern, name)
        many.put(pattern, pattern)
    assert many.fitting(name) == []


def test_dropping_what_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        Patterns[str]().drop("a.*")


def test_asks_few_of_many() -> None:
    """A hundred thousand patterns, and a name with many wildcards to try, are no matter."""
    many: Patterns[int] = Patterns()
    for number in range(100_000):
        many.put(f"shop{number}.*.paid.#", number)
    many.put(".".join(["#.a"] * 40), -1)
    for _ in range(1000):
        assert many.fitting("shop77.order.paid.twice") == [77]
    assert many.fitting(".".join(["a"] * 90)) == [-1]

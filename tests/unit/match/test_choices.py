"""The choices of a form, and the matches that they make."""

import pytest

from durian import match
from durian.errors import InvalidFilter
from durian.match import Any, Contains, Endswith, Is, Like, Startswith, deepmatch


def test_have_the_numbers_of_2009() -> None:
    assert [
        match.CONDITION_PASS,
        match.CONDITION_EXACT,
        match.CONDITION_STARTSWITH,
        match.CONDITION_ENDSWITH,
        match.CONDITION_CONTAINS,
        match.CONDITION_LIKE,
    ] == [0, 1, 2, 3, 4, 5]


def test_offer_every_matching_class() -> None:
    assert [number for number, _ in match.MATCHABLE_CHOICES] == list(match.CONST_TO_MATCHABLE)
    assert list(match.CONST_TO_MATCHABLE.values()) == [
        Any,
        Is,
        Startswith,
        Endswith,
        Contains,
        Like,
    ]


def test_number_becomes_a_matching_class() -> None:
    assert match.const_to_matchable(match.CONDITION_ENDSWITH, "x") == Endswith("x")
    assert match.const_to_matchable("5", "x") == Like("x")
    assert match.const_to_matchable(0, "ignored") == Any()


@pytest.mark.parametrize("const", [6, -1, "x", ""])
def test_unknown_number_is_refused(const: int | str) -> None:
    with pytest.raises(InvalidFilter, match="is not a condition"):
        match.const_to_matchable(const, "x")


def test_tuples_become_a_match() -> None:
    matchdict = match.mtuplelist_to_matchdict(
        [
            ("name", match.CONDITION_ENDSWITH, "Constanza"),
            ("zipcode", "2", "70"),
            ("zoo", match.CONDITION_PASS, "zoo"),
        ]
    )
    assert matchdict == {"name": Endswith("Constanza"), "zipcode": Startswith("70")}
    assert deepmatch(matchdict, {"name": "George Constanza", "zipcode": "70312"})


def test_deepmatch_goes_to_any_depth() -> None:
    wanted: dict[str, object] = {"leaf": Startswith("x")}
    given: dict[str, object] = {"leaf": "xy"}
    for _ in range(50):
        wanted, given = {"a": wanted}, {"a": given, "b": 1}
    assert deepmatch(wanted, given)
    assert not deepmatch(wanted, {"a": 1})

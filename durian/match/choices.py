"""The matching classes as numbers, for the choices of a form."""

from collections.abc import Iterable
from typing import Final

from durian.errors import InvalidFilter
from durian.match.condition import Condition
from durian.match.conditions import Any, Contains, Is
from durian.match.texts import Endswith, Like, Startswith

CONDITION_PASS: Final = 0
CONDITION_EXACT: Final = 1
CONDITION_STARTSWITH: Final = 2
CONDITION_ENDSWITH: Final = 3
CONDITION_CONTAINS: Final = 4
CONDITION_LIKE: Final = 5

MATCHABLE_CHOICES: Final = (
    (CONDITION_PASS, "anything"),
    (CONDITION_EXACT, "exact"),
    (CONDITION_STARTSWITH, "starts with"),
    (CONDITION_ENDSWITH, "ends with"),
    (CONDITION_CONTAINS, "contains"),
    (CONDITION_LIKE, "matches the regular expression"),
)

CONST_TO_MATCHABLE: Final[dict[int, type[Condition]]] = {
    CONDITION_PASS: Any,
    CONDITION_EXACT: Is,
    CONDITION_STARTSWITH: Startswith,
    CONDITION_ENDSWITH: Endswith,
    CONDITION_CONTAINS: Contains,
    CONDITION_LIKE: Like,
}


def const_to_matchable(const: int | str, query: object) -> Condition:
    """The matching class that a form's choice stands for, asking for `query`.

    Raises InvalidFilter for a choice that does not exist or a query that does not fit it.
    """
    return CONST_TO_MATCHABLE[_known(const)](query)


def mtuplelist_to_matchdict(
    mtuples: Iterable[tuple[str, int | str, object]],
) -> dict[str, Condition]:
    """A match of `(field, const, query)` tuples; fields that may be anything are left out."""
    return {
        field: const_to_matchable(const, query)
        for field, const, query in mtuples
        if _known(const) != CONDITION_PASS
    }


def _known(const: int | str) -> int:
    """A form answers with a string, so "1" is 1."""
    try:
        number = int(const)
    except ValueError:
        number = -1
    if number not in CONST_TO_MATCHABLE:
        raise InvalidFilter(f"{const!r} is not a condition; these are: 0 to {CONDITION_LIKE}")
    return number

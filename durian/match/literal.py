"""JSON values as filters see them: which are allowed, when two are the same, what is missing."""

import json
import math
from collections.abc import Hashable, Sized
from enum import Enum
from typing import Final

from durian.errors import InvalidFilter
from durian.match.effort import look_at

MAX_DEPTH: Final = 10

# Made once: a union of types in isinstance is built anew at each call.
CONTAINERS: Final = (list, dict)
NUMBERS: Final = (int, float)
PLAIN: Final = frozenset((str, int))
"""Types of which `freeze` returns the value itself. A bool is of neither."""
_JSON_TYPES: Final = (str, int, float, list, dict, type(None))


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""What a condition is asked about when the payload has no such field."""


def same(literal: object, value: object) -> bool:
    """Whether a filter's literal and a payload's value are the same JSON value.

    `true` is not 1, and 1 is 1.0. The recursion is bounded by the literal, which is checked,
    and not by the payload, which can be nested as deep as its sender likes. Raises TooMuch.
    """
    if type(literal) is str:  # first, since most are
        return literal == value
    if isinstance(literal, list):
        return (
            isinstance(value, list) and _as_long(literal, value) and all(map(same, literal, value))
        )
    if isinstance(literal, dict):
        return (
            isinstance(value, dict)
            and _as_long(literal, value)
            and literal.keys() == value.keys()
            and all(same(item, value[key]) for key, item in literal.items())
        )
    if isinstance(literal, bool) or isinstance(value, bool):
        return literal is value
    return bool(literal == value)


def _as_long(literal: Sized, value: Sized) -> bool:
    """Whether they have as many elements, which are looked at then."""
    if len(literal) != len(value):
        return False
    look_at(len(literal))
    return True


def freeze(value: object) -> Hashable:
    """A hashable stand-in for a literal, equal exactly when `same` says so."""
    if type(value) is str or type(value) is int:  # first, since most are
        return value
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, list):
        return ("list", tuple(map(freeze, value)))
    if isinstance(value, dict):
        return ("dict", frozenset((key, freeze(item)) for key, item in value.items()))
    if isinstance(value, tuple):
        return tuple(map(freeze, value))
    return value


def check_literal(value: object) -> None:
    """Raise InvalidFilter unless `value` is a JSON value, nested at most `MAX_DEPTH` deep."""
    _check_type(value)
    level = children(value)
    for _ in range(MAX_DEPTH):
        if not level:
            return
        for item in level:
            _check_type(item)
        level = [child for item in level for child in children(item)]
    if level:
        raise InvalidFilter(f"nested deeper than {MAX_DEPTH} levels")


def _check_type(value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidFilter(f"{value} is not a JSON value")
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        raise InvalidFilter("the keys of a JSON object are strings")
    if not isinstance(value, _JSON_TYPES):
        raise InvalidFilter(f"{type(value).__name__} is not a JSON type")


def children(value: object) -> list[object]:
    """The values directly inside a JSON value."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def show(value: object) -> str:
    """A value as the filter's author wrote it, short enough for a message."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."

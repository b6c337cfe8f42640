"""What the JSON of a filter means: from objects, lists, bare values and operators to conditions."""

from collections.abc import Callable
from sys import intern
from typing import Final, cast

from durian.errors import InvalidFilter
from durian.match.compound import And, Fields, Joined, Members, Neq, Nin, Not, Or, Together
from durian.match.condition import Condition, ElementCondition
from durian.match.conditions import (
    Any,
    Contains,
    Exists,
    Gt,
    Gte,
    Has,
    In,
    Is,
    Lt,
    Lte,
)
from durian.match.literal import show
from durian.match.texts import Endswith, Like, Startswith


def build(value: object, path: str = "") -> Condition:
    """The condition that a value of a filter spells; matching classes stand for themselves.

    Raises InvalidFilter, whose message begins with the path of the culprit.
    """
    if isinstance(value, Condition):
        return value
    if isinstance(value, dict):
        return _object(value, path)
    if isinstance(value, list):
        return Members(_each(value, path))
    return _at(path, Has, value)


def _each(values: list[object], path: str) -> tuple[Condition, ...]:
    return tuple(build(value, f"{path}[{place}]") for place, value in enumerate(values))


def _object(value: dict[object, object], path: str) -> Condition:
    fields: list[tuple[str, Condition]] = []
    conditions: list[Condition] = []
    # Sorted, since the order of an object's keys means nothing and equal filters are to be equal.
    for name in sorted(_checked(value, path)):
        if name.startswith("$"):
            conditions.append(_operation(name, value[name], path))
        else:
            inner = build(value[name], f"{path}.{name}" if path else name)
            fields.append((_shared(name), inner))
    if fields or not conditions:
        conditions.append(Fields(tuple(fields)))
    return _all_of(conditions)


def _checked(value: dict[object, object], path: str) -> dict[str, object]:
    for key in value:
        if not isinstance(key, str):
            raise _error(path, f"the keys of a JSON object are strings, not {show(key)}")
    return cast("dict[str, object]", value)


def _shared(name: str) -> str:
    """One text for all filters that name a field: JSON makes one for each of them."""
    return intern(name) if type(name) is str else name


def _all_of(conditions: list[Condition]) -> Condition:
    """Those on one element ask for the same element: `$gt` and `$lt` are one range."""
    if len(conditions) == 1:
        return conditions[0]
    single = [c for c in conditions if isinstance(c, ElementCondition)]
    if len(single) > 1:
        whole = [c for c in conditions if not isinstance(c, ElementCondition)]
        conditions = [*whole, Together(tuple(single))]
    return conditions[0] if len(conditions) == 1 else Joined(tuple(conditions))


def _operation(name: str, value: object, path: str) -> Condition:
    if make := _ON_VALUES.get(name):
        return _at(path, make, value)
    place = f"{path}.{name}" if path else name
    if name == "$not":
        return Not(build(value, place))
    if make_several := _ON_CONDITIONS.get(name):
        if not isinstance(value, list) or not value:
            raise _error(path, f"{name} takes a list of conditions, not {show(value)}")
        return make_several(_each(value, place))
    raise _error(path, f"{name} is not an operator; these are: {' '.join(OPERATORS)}")


def _at(path: str, make: Callable[[object], Condition], value: object) -> Condition:
    try:
        return make(value)
    except InvalidFilter as error:
        raise _error(path, str(error)) from None


def _error(path: str, reason: str) -> InvalidFilter:
    return InvalidFilter(f"{path}: {reason}" if path else reason)


def _any(value: object) -> Condition:
    if value is not True:
        raise InvalidFilter(f"$any takes true, not {show(value)}")
    return Any()


def _is_not(value: object) -> Condition:
    return Neq(Is(value))


def _not_in(value: object) -> Condition:
    if not isinstance(value, list):
        raise InvalidFilter(f"$nin takes a list, not {show(value)}")
    return Nin(In(value))


_ON_VALUES: Final[dict[str, Callable[[object], Condition]]] = {
    "$eq": Is,
    "$neq": _is_not,
    "$gt": Gt,
    "$gte": Gte,
    "$lt": Lt,
    "$lte": Lte,
    "$in": In,
    "$nin": _not_in,
    "$startsWith": Startswith,
    "$endsWith": Endswith,
    "$contains": Contains,
    "$regex": Like,
    "$exist": Exists,
    "$any": _any,
}
_ON_CONDITIONS: Final[dict[str, Callable[[tuple[Condition, ...]], Condition]]] = {
    "$or": Or,
    "$and": And,
}
OPERATORS: Final = (*_ON_VALUES, *_ON_CONDITIONS, "$not")
"""Every operator of the JSON form."""

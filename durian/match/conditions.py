"""What a filter can ask of one value: which it is, whether it is there, where it lies."""

from collections.abc import Callable
from copy import deepcopy
from operator import ge, gt, le, lt
from typing import ClassVar

from durian.errors import InvalidFilter
from durian.match.condition import Condition, ElementCondition
from durian.match.effort import look_at, look_for
from durian.match.literal import CONTAINERS, MISSING, NUMBERS, check_literal, freeze, same, show


class Any(Condition):
    """Matches anything, even a field that is not sent at all. A pattern is ignored."""

    __slots__ = ()
    operator = "$any"

    def __init__(self, value: object = None) -> None:
        super().__init__(None)

    def holds(self, value: object) -> bool:
        """Yes."""
        return True

    def to_json(self) -> object:
        """`{"$any": true}`."""
        return {self.operator: True}

    def __repr__(self) -> str:
        return "Any()"

    def __reduce__(self) -> tuple[object, ...]:
        return Any, ()


class Is(Condition):
    """Strict equality of JSON values: "1" is not 1, `true` is not 1, 1 is 1.0.

    `Is(None)` matches a missing field too.
    """

    __slots__ = ()
    operator = "$eq"

    def __init__(self, value: object) -> None:
        super().__init__(_literal(self.operator, value))

    def holds(self, value: object) -> bool:
        """Whether it is the same JSON value."""
        return same(self.value, value) or (self.value is None and value is MISSING)


class Has(ElementCondition):
    """What a bare value asks: equality, or membership in a list. The value is a scalar."""

    __slots__ = ()
    operator = "a bare value"

    def __init__(self, value: object) -> None:
        super().__init__(_literal(self.operator, value))

    def holds(self, value: object) -> bool:
        """Whether it is the same JSON value."""
        return same(self.value, value)

    def to_json(self) -> object:
        """The bare value."""
        return self.value


class In(ElementCondition):
    """The value, or an element of it, is one of several."""

    __slots__ = ("_containers", "_scalars")
    operator = "$in"
    value: list[object]
    _scalars: frozenset[object]
    _containers: list[object]

    def __init__(self, value: object) -> None:
        if not isinstance(value, list):
            raise InvalidFilter(f"{self.operator} takes a list, not {show(value)}")
        super().__init__(_literal(self.operator, value))
        scalars = (freeze(item) for item in self.value if not isinstance(item, CONTAINERS))
        containers = [item for item in self.value if isinstance(item, CONTAINERS)]
        object.__setattr__(self, "_scalars", frozenset(scalars))
        object.__setattr__(self, "_containers", containers)

    def holds(self, value: object) -> bool:
        """Whether it is one of the values."""
        if isinstance(value, CONTAINERS):
            look_at(len(self._containers))
            return any(same(item, value) for item in self._containers)
        return freeze(value) in self._scalars


class Contains(Condition):
    """The string contains the pattern, or the list has it as a member."""

    __slots__ = ()
    operator = "$contains"

    def __init__(self, value: object) -> None:
        super().__init__(_literal(self.operator, value))

    def holds(self, value: object) -> bool:
        """Whether it is a list with that member or a string with that part."""
        if isinstance(value, list):
            look_at(len(value))
            return any(same(self.value, item) for item in value)
        if not (isinstance(value, str) and isinstance(self.value, str)):
            return False
        look_for(self.value, value)
        return self.value in value


class Ordered(ElementCondition):
    """A comparison of two numbers or two strings; across types it is false.

    Strings are compared character by character, so dates of ISO 8601 compare as dates do.
    """

    __slots__ = ()
    value: str | int | float
    compare: ClassVar[Callable[..., bool]]

    def __init__(self, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, (str, *NUMBERS)):
            raise InvalidFilter(f"{self.operator} takes a number or a string, not {show(value)}")
        super().__init__(_literal(self.operator, value))

    def holds(self, value: object) -> bool:
        """Whether it is of the same type and on the right side."""
        end = self.value
        if type(value) is not type(end):  # never so of a bool
            kind = str if isinstance(end, str) else NUMBERS
            if isinstance(value, bool) or not isinstance(value, kind):
                return False
        return self.compare(value, end)


class Gt(Ordered):
    """Greater than."""

    __slots__ = ()
    operator = "$gt"
    compare = staticmethod(gt)


class Gte(Ordered):
    """Greater than or equal."""

    __slots__ = ()
    operator = "$gte"
    compare = staticmethod(ge)


class Lt(Ordered):
    """Less than."""

    __slots__ = ()
    operator = "$lt"
    compare = staticmethod(lt)


class Lte(Ordered):
    """Less than or equal."""

    __slots__ = ()
    operator = "$lte"
    compare = staticmethod(le)


class Exists(Condition):
    """The field is there (`True`) or is not (`False`); null is there."""

    __slots__ = ()
    operator = "$exist"

    def __init__(self, value: object) -> None:
        if not isinstance(value, bool):
            raise InvalidFilter(f"{self.operator} takes true or false, not {show(value)}")
        super().__init__(value)

    def holds(self, value: object) -> bool:
        """Whether it is there, or is not, as asked."""
        return (value is not MISSING) is self.value


def _literal(name: str, value: object) -> object:
    """A literal checked, and copied so that its owner cannot change it in here."""
    if type(value) is str or type(value) is int:  # first, since most are
        return value
    try:
        check_literal(value)
    except InvalidFilter as error:
        raise InvalidFilter(f"{name}: {error}") from None
    return deepcopy(value) if isinstance(value, CONTAINERS) else value

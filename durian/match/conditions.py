"""What a filter can ask of one value: the conditions, which are immutable and hashable.

Every condition answers two questions. `holds` is about exactly the value given. `matches` is
what a filter asks: most conditions on one element (`ElementCondition`) are content when any
element of a list satisfies them, whereas the others see the list as a whole.
"""

from collections.abc import Callable, Hashable
from copy import deepcopy
from functools import lru_cache
from operator import ge, gt, le, lt
from typing import ClassVar, NoReturn

import re2

from durian.errors import InvalidFilter
from durian.match.effort import look_at, spend
from durian.match.literal import CONTAINERS, MISSING, NUMBERS, check_literal, freeze, same, show

# One regular expression may use this much memory, its program and its automaton together;
# RE2 refuses a larger program and answers more slowly when the automaton does not fit.
_REGEX_OPTIONS = re2.Options()
_REGEX_OPTIONS.max_mem = 1 << 17
_REGEX_OPTIONS.log_errors = False
_REGEX_OPTIONS.never_capture = True


class Condition:
    """What is asked of a value.

    Two conditions are equal when they ask the same. Compared with anything else, a condition
    says whether it matches it, as the matching classes of durian 0.1 did.
    """

    __slots__ = ("value",)
    operator: ClassVar[str]
    value: object

    def __init__(self, value: object) -> None:
        object.__setattr__(self, "value", value)

    def holds(self, value: object) -> bool:
        """Whether exactly this value (or `MISSING`) satisfies the condition."""
        raise TypeError(f"{type(self).__name__} is not a condition of its own")

    def matches(self, value: object) -> bool:
        """Whether a payload's value (or `MISSING`) satisfies the condition."""
        return self.holds(value)

    def to_json(self) -> object:
        """The condition as JSON."""
        return {self.operator: self.value}

    def parts(self) -> tuple["Condition", ...]:
        """The conditions that this one is made of."""
        return ()

    def size(self) -> int:
        """How many conditions ask, itself included: what one element of a list may cost."""
        return 1 + sum(part.size() for part in self.parts())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Condition):
            return type(self) is type(other) and self._frozen() == other._frozen()
        return self.matches(other)

    def __hash__(self) -> int:
        return hash((type(self), self._frozen()))

    def _frozen(self) -> Hashable:
        # A tuple is made of conditions.
        return self.value if type(self.value) is tuple else freeze(self.value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.value,)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")


class ElementCondition(Condition):
    """A condition that a list satisfies when any of its elements does."""

    __slots__ = ()

    def matches(self, value: object) -> bool:
        """Whether the value satisfies the condition, or is a list with an element that does."""
        if self.holds(value):
            return True
        if not isinstance(value, list):
            return False
        look_at(len(value) * self.size())
        return any(map(self.holds, value))


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


class _Text(ElementCondition):
    """A condition whose pattern is a string."""

    __slots__ = ()
    value: str

    def __init__(self, value: object) -> None:
        if not isinstance(value, str):
            raise InvalidFilter(f"{self.operator} takes a string, not {show(value)}")
        super().__init__(value)


class Startswith(_Text):
    """The string starts with the pattern."""

    __slots__ = ()
    operator = "$startsWith"

    def holds(self, value: object) -> bool:
        """Whether it is a string that starts with the pattern."""
        return isinstance(value, str) and value.startswith(self.value)


class Endswith(_Text):
    """The string ends with the pattern."""

    __slots__ = ()
    operator = "$endsWith"

    def holds(self, value: object) -> bool:
        """Whether it is a string that ends with the pattern."""
        return isinstance(value, str) and value.endswith(self.value)


class Like(_Text):
    """A regular expression of RE2 is found in the string; raises InvalidFilter when built
    of a pattern that RE2 refuses (look-around, back-references, too large)."""

    __slots__ = ("_instructions", "_search")
    operator = "$regex"
    _search: Callable[[bytes], object]
    _instructions: int

    def __init__(self, value: object) -> None:
        super().__init__(value)
        search, instructions = _compile(self.value)
        object.__setattr__(self, "_search", search)
        object.__setattr__(self, "_instructions", instructions)

    def holds(self, value: object) -> bool:
        """Whether it is a string in which the expression is found."""
        if not isinstance(value, str):
            return False
        # A lone surrogate has no UTF-8; as three invalid bytes it matches no pattern's character.
        text = value.encode("utf-8", "surrogatepass")
        spend(len(text) * self._instructions)
        return bool(self._search(text))


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
        return isinstance(value, str) and isinstance(self.value, str) and self.value in value


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


@lru_cache(maxsize=1000)
def _compile(pattern: str) -> tuple[Callable[[bytes], object], int]:
    """What searches for `pattern`, and how many instructions RE2 makes of it."""
    try:
        compiled = re2.compile(pattern, _REGEX_OPTIONS)
    except UnicodeEncodeError:
        raise InvalidFilter("$regex: the pattern is not valid Unicode") from None
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise InvalidFilter(f"$regex: {show(pattern)} is refused: {text}") from None
    # The package has no public name for it.
    return compiled.search, compiled._regexp.ProgramSize()

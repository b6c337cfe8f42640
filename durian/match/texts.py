"""Conditions on a text: how it begins or ends, or a regular expression of RE2."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import re2

from durian.errors import InvalidFilter
from durian.match.condition import ElementCondition
from durian.match.effort import spend
from durian.match.literal import show

# One regular expression may use this much memory, its program and its automaton together;
# RE2 refuses a larger program and answers more slowly when the automaton does not fit.
_REGEX_OPTIONS = re2.Options()
_REGEX_OPTIONS.max_mem = 1 << 17
_REGEX_OPTIONS.log_errors = False
_REGEX_OPTIONS.never_capture = True
# Where RE2 says that an expression is, which it did not find.
_NOWHERE = (-1, -1)


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
    _search: Callable[[bytes, int, int], Sequence[tuple[int, int]]]
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
        return self._search(text, 0, len(text))[0] != _NOWHERE


@lru_cache(maxsize=1000)
def _compile(pattern: str) -> tuple[Callable[..., Sequence[tuple[int, int]]], int]:
    """What searches for `pattern`, and how many instructions RE2 makes of it."""
    try:
        compiled = re2.compile(pattern, _REGEX_OPTIONS)
    except UnicodeEncodeError:
        raise InvalidFilter("$regex: the pattern is not valid Unicode") from None
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise InvalidFilter(f"$regex: {show(pattern)} is refused: {text}") from None
    # The package has no public name for the program's size, nor for what answers with mere places
    # in the text: its `search` takes a microsecond to make an object of them.
    program = compiled._regexp
    return partial(program.Match, program.Anchor.UNANCHORED), program.ProgramSize()

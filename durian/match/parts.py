"""What a filter is made of: conditions that all have to hold, shared with other filters."""

from collections.abc import Iterable

from durian.match.anchors import Clause, clauses
from durian.match.compound import And, Fields, Together
from durian.match.condition import Condition
from durian.match.literal import MISSING


class Part:
    """A condition on a field of the payload, or on the whole of it where `name` is None.

    Of equal ones there is one, so that a payload is asked once for all filters that have it.
    """

    __slots__ = ("_clauses", "condition", "name", "users")

    def __init__(self, name: str | None, condition: Condition) -> None:
        self.name = name
        self.condition = condition
        self.users = 0
        self._clauses: list[Clause] | None = None

    def matches(self, payload: dict[str, object]) -> bool:
        """Whether the payload satisfies the condition."""
        if self.name is None:
            return self.condition.matches(payload)
        return self.condition.matches(payload.get(self.name, MISSING))

    def clauses(self) -> list[Clause]:
        """What a payload must have to satisfy it."""
        if self._clauses is not None:
            return self._clauses
        found = clauses(self.condition, () if self.name is None else (self.name,))
        # Not while one filter alone has it: they would take more memory than the filter.
        if self.users > 1:
            self._clauses = found
        return found


class Parts:
    """All parts in use, by what they ask."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: dict[str | None, dict[Condition, Part]] = {}

    def use(self, whole: Condition) -> tuple[Part, ...]:
        """The parts of a filter's condition, which are kept until they are released."""
        # Without repeats, which a filter of `$and` may have.
        parts = tuple(dict.fromkeys([self._part(*one) for one in _taken_apart(None, whole)]))
        for part in parts:
            part.users += 1
        return parts

    def release(self, parts: tuple[Part, ...]) -> None:
        """End a use."""
        for part in parts:
            part.users -= 1
            if not part.users:
                del self._parts[part.name][part.condition]
                if not self._parts[part.name]:
                    del self._parts[part.name]

    def _part(self, name: str | None, condition: Condition) -> Part:
        return self._parts.setdefault(name, {}).setdefault(condition, Part(name, condition))


def _taken_apart(name: str | None, whole: Condition) -> list[tuple[str | None, Condition]]:
    # A payload is no list, in which one element would have to satisfy all of them together.
    if name is None and isinstance(whole, Fields):
        pairs: Iterable[tuple[str | None, Condition]] = whole.value
    elif isinstance(whole, And) or (name is None and isinstance(whole, Together)):
        pairs = [(name, inner) for inner in whole.value]
    else:
        return [(name, whole)]
    return [one for field, inner in pairs for one in _taken_apart(field, inner)]

"""What all conditions have in common: they are immutable and hashable, and answer two questions.

`holds` is about exactly the value given. `matches` is what a filter asks: most conditions on one
element (`ElementCondition`) are content when any element of a list satisfies them, whereas the
others see the list as a whole.
"""

from collections.abc import Hashable
from typing import ClassVar, NoReturn

from durian.match.effort import look_at
from durian.match.literal import freeze


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
        parts = self.parts()
        return 1 + sum([part.size() for part in parts]) if parts else 1

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

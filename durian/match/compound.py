"""Conditions made of conditions: nested objects, lists, and, or, not."""

from typing import cast

from durian.match.condition import Condition, ElementCondition
from durian.match.effort import look_at
from durian.match.literal import MISSING


class Fields(ElementCondition):
    """An object whose fields satisfy their conditions; `value` is pairs of field and condition."""

    __slots__ = ()
    value: tuple[tuple[str, Condition], ...]

    def holds(self, value: object) -> bool:
        """Whether it is an object whose fields satisfy their conditions."""
        if not isinstance(value, dict):
            return False
        for name, condition in self.value:  # noqa: SIM110 - a third faster than all()
            if not condition.matches(value.get(name, MISSING)):
                return False
        return True

    def to_json(self) -> object:
        """The object of the fields' conditions."""
        return {name: condition.to_json() for name, condition in self.value}

    def parts(self) -> tuple[Condition, ...]:
        """The fields' conditions."""
        return tuple(condition for _, condition in self.value)


class _Several(Condition):
    __slots__ = ()
    value: tuple[Condition, ...]

    def parts(self) -> tuple[Condition, ...]:
        """The several conditions."""
        return self.value


class Members(_Several):
    """What a bare list asks: a list that has, for each of ours, an element that satisfies it."""

    __slots__ = ()

    def holds(self, value: object) -> bool:
        """Whether it is a list with an element for each condition."""
        if not isinstance(value, list):
            return False
        look_at(len(value) * self.size())
        return all(any(map(condition.holds, value)) for condition in self.value)

    def to_json(self) -> object:
        """The bare list."""
        return [condition.to_json() for condition in self.value]


class Together(_Several, ElementCondition):
    """Several conditions on one element: of a list, the same element satisfies them all."""

    __slots__ = ()

    def holds(self, value: object) -> bool:
        """Whether it satisfies them all."""
        for condition in self.value:  # noqa: SIM110 - half the time of all()
            if not condition.holds(value):
                return False
        return True

    def to_json(self) -> object:
        """One object with the operators and fields of all."""
        return _merged(self.value)


class And(_Several):
    """Every condition is satisfied."""

    __slots__ = ()
    operator = "$and"

    def holds(self, value: object) -> bool:
        """Whether it satisfies them all."""
        return all(condition.matches(value) for condition in self.value)

    def to_json(self) -> object:
        """`$and` with the conditions."""
        return {self.operator: [condition.to_json() for condition in self.value]}


class Joined(And):
    """Several conditions that one object spells, each asked of the value as a whole."""

    __slots__ = ()

    def to_json(self) -> object:
        """One object with the operators and fields of all."""
        return _merged(self.value)


class Or(_Several):
    """One condition at least is satisfied."""

    __slots__ = ()
    operator = "$or"

    def holds(self, value: object) -> bool:
        """Whether it satisfies one of them."""
        return any(condition.matches(value) for condition in self.value)

    def to_json(self) -> object:
        """`$or` with the conditions."""
        return {self.operator: [condition.to_json() for condition in self.value]}


class Not(Condition):
    """The condition is not satisfied."""

    __slots__ = ()
    operator = "$not"
    value: Condition

    def holds(self, value: object) -> bool:
        """Whether it does not satisfy the condition."""
        return not self.value.matches(value)

    def to_json(self) -> object:
        """`$not` with the condition."""
        return {self.operator: self.value.to_json()}

    def parts(self) -> tuple[Condition, ...]:
        """The condition."""
        return (self.value,)


class _ShortNot(Not):
    """A negation that is spelled with the literal of the condition it negates."""

    __slots__ = ()

    def to_json(self) -> object:
        """The operator with the literal."""
        return {self.operator: self.value.value}


class Neq(_ShortNot):
    """Not `Is`."""

    __slots__ = ()
    operator = "$neq"


class Nin(_ShortNot):
    """Not `In`."""

    __slots__ = ()
    operator = "$nin"


def _merged(conditions: tuple[Condition, ...]) -> dict[str, object]:
    # They come from the keys of one object, so that their forms are objects without common keys.
    merged: dict[str, object] = {}
    for condition in conditions:
        merged |= cast("dict[str, object]", condition.to_json())
    return merged

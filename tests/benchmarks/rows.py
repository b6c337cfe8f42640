"""Figures and goals: what was measured, what it is held against, whether that is met."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

Values = Mapping[str, float]
"""What was measured, by key."""


class Row(NamedTuple):
    """One figure: `key` names it for goals and JSON, `what` says to people what it is."""

    key: str
    what: str
    value: float
    unit: str


class Goal(NamedTuple):
    """What the figure `key` has to be: at least, or at most, `amount`, or that many times `of`."""

    key: str
    amount: float
    of: str = ""
    at_most: bool = False

    def met(self, values: Values) -> bool | None:
        """Say whether it is met; None when a figure that it needs was not measured."""
        bound = self.bound(values)
        if bound is None or self.key not in values:
            return None
        return values[self.key] <= bound if self.at_most else values[self.key] >= bound

    def bound(self, values: Values) -> float | None:
        """Return what the figure is held against; None when `of` was not measured."""
        if self.of and self.of not in values:
            return None
        return self.amount * (values[self.of] if self.of else 1.0)

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        return f"{sign} {self.amount:,g}" + (f" × {self.of}" if self.of else "")


def values_of(rows: Iterable[Row]) -> Values:
    """Return the values of `rows` by key."""
    return {row.key: row.value for row in rows}

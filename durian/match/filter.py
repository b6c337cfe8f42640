"""A whole filter, as a value."""

from collections.abc import Mapping

from durian.match.condition import Condition
from durian.match.effort import FILTER_STEPS, LEAST_STEPS, left, report, within


class Filter:
    """A whole filter: which payloads a listener wants. Immutable, hashable; `parse` makes them."""

    __slots__ = ("condition",)

    def __init__(self, condition: Condition) -> None:
        self.condition = condition

    def matches(self, payload: Mapping[str, object]) -> bool:
        """Whether the payload passes. Never raises, whatever JSON the payload holds.

        A filter that takes too many steps on a payload counts as passed.
        """
        whole = payload if isinstance(payload, dict) else dict(payload)
        steps = min(FILTER_STEPS, max(left(), LEAST_STEPS))
        answer = within(steps, lambda: self.condition.matches(whole))
        if answer is None:
            report([self.condition])
        return answer is not False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and self.condition == other.condition

    def __hash__(self) -> int:
        return hash(self.condition)

    def __repr__(self) -> str:
        return f"Filter({self.condition!r})"

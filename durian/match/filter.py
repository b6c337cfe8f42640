"""A whole filter, as a value."""

from collections.abc import Mapping

from durian.match.condition import Condition
from durian.match.effort import FILTER_STEPS, allow_all, report, within


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
        answer = within(FILTER_STEPS, lambda: self.condition.matches(whole))
        allow_all()
        if answer is None:
            report([self.condition])
        return answer is not False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and self.condition == other.condition

    def __hash__(self) -> int:
        return hash(self.condition)

    def __repr__(self) -> str:
        return f"Filter({self.condition!r})"

"""A clock that notices when its process was stopped: what that made late tells of nobody else."""

from collections.abc import Callable

ASLEEP_SECONDS = 1.0
"""When nobody has asked the clock for so long, though somebody does so several times a second, the
process was stopped."""


class AwakeClock:
    """Times are of `clock`, in seconds. Not for several threads at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked_at = clock()
        self.awake_since = 0.0
        """When the process last awoke; 0 if it never slept."""

    def __call__(self) -> float:
        """Return the time, and take note of it."""
        now = self._clock()
        if now - self._asked_at > ASLEEP_SECONDS:
            self.awake_since = now
        self._asked_at = now
        return now

    def slept_through(self, seconds: float, now: float) -> bool:
        """Say whether what took so many `seconds` until `now` tells of the sleep alone."""
        return now - seconds < self.awake_since and now - self.awake_since < ASLEEP_SECONDS

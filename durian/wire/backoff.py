"""When to connect again: later after each failure, at a random moment, bounded."""

import random
import time

FIRST_SECONDS = 0.2
MOST_SECONDS = 10.0


class Backoff:
    """Counts failures and says whether the time for another try has come."""

    def __init__(self) -> None:
        self._failures = 0
        self._due = 0.0

    def failed(self) -> float:
        """Note a failure and return the seconds until the next try."""
        ceiling = min(MOST_SECONDS, FIRST_SECONDS * 2 ** min(self._failures, 10))
        wait = random.uniform(ceiling / 2, ceiling)  # noqa: S311  (spreads load, hides nothing)
        self._failures += 1
        self._due = time.monotonic() + wait
        return wait

    def succeeded(self) -> None:
        """Forget the failures."""
        self._failures = 0
        self._due = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0

    @property
    def due(self) -> bool:
        """Whether it is time for a try."""
        return time.monotonic() >= self._due

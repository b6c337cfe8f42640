"""How busy this process is."""

import time
from collections.abc import Callable


class CPULoad:
    """Measures by two clocks, in seconds: time, and what all threads have used of a CPU's."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock = clock
        self._used = used
        self._looked_at, self._used_then = clock(), used()

    def look(self) -> float:
        """Return the part of a CPU that was used since the last look; threads may use several."""
        now, used = self._clock(), self._used()
        passed, spent = now - self._looked_at, used - self._used_then
        self._looked_at, self._used_then = now, used
        return spent / passed if passed > 0 else 0.0

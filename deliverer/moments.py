"""The free moments of one listener that are reserved already, without a clock or a lock.

The arithmetic is that of GCRA, the generic cell rate algorithm (ITU-T I.371), with a count of
moments in the place of a time: when the receiver becomes faster, the same line is shorter.
"""


class Moments:
    """Times are in seconds, of one clock."""

    __slots__ = ("_at", "_count", "_interval")

    def __init__(self, now: float) -> None:
        self._count = 0.0
        """How many are reserved, as of the time `_at`."""
        self._at = now
        self._interval = 0.0

    def ahead(self, interval: float, now: float) -> float:
        """Return how long those reserved will take if one comes every `interval`, from now on."""
        self._interval = interval
        left = self._count - (now - self._at) / interval if interval else 0.0
        # A thousandth of a moment is none: floats do not come out even.
        self._count, self._at = left if left > 0.001 else 0.0, now
        return self._count * interval

    def reserve(self) -> None:
        """Reserve the next one."""
        self._count += 1

    def over(self, now: float) -> bool:
        """Say whether all that were reserved have come."""
        return self._count * self._interval <= now - self._at

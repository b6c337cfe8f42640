"""Whether a receiver is there: a circuit breaker for one listener, without a clock or a lock.

It opens after FAILURES failures in a row that say that nobody is there. Then one delivery at a time
finds out, after a wait that doubles with each one that fails, and a success closes it. The others
come back later, the later the longer the receiver has been away, and not all at once.
"""

from math import inf

from requests import Response

from deliverer.http import Result

FAILURES = 5
FIRST_WAIT = 5.0
LONGEST_WAIT = 300.0
LONGEST_ASKED = 900.0
"""For how long a receiver may ask to be left alone (`Retry-After`): it may be a mistake."""
LONGEST_SPREAD = 3600.0
GOLDEN = 0.618034
"""Its multiples, without their whole parts, are spread evenly however many there are."""

AWAY = frozenset({429, 502, 503, 504})
"""Answers for a receiver that is not there, or has no room: it may be any event's turn next. (A 500
may be the fault of this one event.)"""


def is_away(result: Result) -> bool:
    """Say whether `result` is what every other delivery to this receiver would get now, too."""
    if isinstance(result, Response):
        return result.status_code in AWAY
    return not result.permanent


class Breaker:
    """Times are in seconds, of one clock."""

    __slots__ = (
        "_answered_at",
        "_failures",
        "_returns_at",
        "_since",
        "_turns",
        "_wait",
        "probe_at",
    )

    def __init__(self) -> None:
        self.probe_at = 0.0
        self._answered_at = -inf
        self._failures = 0
        self._returns_at = 0.0
        self._since = 0.0
        self._turns = 0
        self._wait = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the receiver is taken for away; from `probe_at` on one POST may look."""
        return self._failures >= FAILURES

    def is_forgotten(self, now: float) -> bool:
        """Say whether it is closed, or nobody has wanted to look for long."""
        return not self.is_open or now > self.probe_at + LONGEST_SPREAD + LONGEST_WAIT

    def failed(self, now: float, asked: float = 0.0) -> bool:
        """Count a failure, and say whether it opened the breaker.

        `asked` is for how many seconds the receiver asked to be left alone.
        """
        if self.is_open:
            # Those that were under way when it opened tell nothing new.
            if now >= self.probe_at:
                self._leave_alone(now, min(self._wait * 2, LONGEST_WAIT), asked)
            return False
        self._failures += 1
        if self.is_open:
            self._since = self._returns_at = now
            self._leave_alone(now, FIRST_WAIT, asked)
        return self.is_open

    def _leave_alone(self, now: float, wait: float, asked: float) -> None:
        self._wait = wait
        self.probe_at = now + max(wait, min(asked, LONGEST_ASKED))

    def succeeded(self, now: float) -> float:
        """Close it, and return for how many seconds it was open."""
        away = now - self._since if self.is_open else 0.0
        self._failures = 0
        self._answered_at = now
        return away

    def hold(self, now: float, interval: float) -> float:
        """Return the seconds after which a delivery that found it open shall come back.

        No two come back within `interval`, in seconds.
        """
        self._turns += 1
        spread = min(now - self._since, LONGEST_SPREAD) * (self._turns * GOLDEN % 1)
        self._returns_at = max(self._returns_at, now) + interval
        # While a probe is under way its moment has passed.
        return max(self.probe_at - now, FIRST_WAIT) + spread + self._returns_at - now

    def is_crowded(self, now: float) -> bool:
        """Say whether the next one that finds it open comes back later for those before it."""
        return self._returns_at > now

    def silence(self, now: float) -> float:
        """Return for how long nobody has answered, infinity if nobody ever has."""
        return now - self._answered_at

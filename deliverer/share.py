"""What a deliverer knows of one listener: its POSTs under way, how they went, and who waits.

Without a clock or a lock; times are in seconds, of one clock.
"""

from collections import deque
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from deliverer.breaker import Breaker
from deliverer.moments import Moments

START = 10
"""POSTs that a listener may have under way before its first success. Each success earns one more,
and a place in line; each failure for which nobody is there takes half of what was earned. Places
that nobody else wants need not be earned."""
LINE_SECONDS = 2.0
"""How long the line of a listener waits for its receiver."""
UNPROVEN_SECONDS = 0.5
"""The same for one that has not had a success yet."""
LONGEST_LINE_SECONDS = 15.0
"""How long it waits for a process that is busy: a half of what there is by default to end one."""
SMOOTHING = 0.02
"""The weight of a POST's time, from the fiftieth success on; the first ones weigh more. A moment in
which this process itself is slow must not look like a slow receiver."""
DRIFT = 0.2
"""The part of the way from what a receiver took to what it takes now that is believed in a second.
"""
FIRST_GUESS_SECONDS = 0.02


class Pause(NamedTuple):
    """How long a delivery waits in the broker: for a moment of its own, or for a receiver that is
    `away` and has answered nobody for so long a `silence`, in seconds."""

    seconds: float
    away: bool = False
    silence: float = inf


Go = Callable[[], bool]
"""Makes the POST, and says whether it is under way; if so, `release` follows."""
Park = Callable[[Pause], None]


class Waiting(NamedTuple):
    """A delivery that waits in the process, `since` then; its listener's `rate` is in POSTs a
    second, 0 for no limit."""

    since: float
    rate: float
    go: Go
    park: Park


class Share:
    """One listener's share of a deliverer."""

    __slots__ = (
        "breaker",
        "earned",
        "in_flight",
        "learnt_at",
        "line",
        "moments",
        "posts",
        "receiver_seconds",
        "seconds",
        "silent_since",
    )

    def __init__(self, now: float) -> None:
        self.in_flight = 0
        self.earned = 0
        self.seconds = FIRST_GUESS_SECONDS
        self.receiver_seconds = 0.0
        """What the receiver itself takes, 0 before its first answer. What this process is slow with
        is left out: it would only be slower with more POSTs under way for that."""
        self.learnt_at: float | None = None
        self.silent_since = now
        self.line: deque[Waiting] = deque()
        self.breaker = Breaker()
        self.moments = Moments(now)
        self.posts = Moments(now)
        """Those that POSTs under a rate have taken, whenever they were reserved and by whom."""

    @property
    def deserved(self) -> int:
        """How many POSTs it may have under way, below the cap; and together with those in line."""
        return START + self.earned

    def began(self, now: float) -> None:
        """Count one POST more under way."""
        if not self.in_flight:
            self.silent_since = now
        self.in_flight += 1

    def succeeded(self, now: float, seconds: float, receiver_seconds: float, most: int) -> float:
        """Count an answer that took so many `seconds`; places up to `most` are earned.

        At least `receiver_seconds` of these were the receiver's, and others this process's.
        Return for how many seconds it was away.
        """
        self._took(seconds)
        self.silent_since = now
        self.earned = min(self.earned + 1, most)
        self._learn(now, seconds, receiver_seconds)
        return self.breaker.succeeded(now)

    def _learn(self, now: float, seconds: float, receiver_seconds: float) -> None:
        # By time and not by answers: a machine that is busy makes many that are slow.
        weight = 1.0 if self.learnt_at is None else min(DRIFT * (now - self.learnt_at), 1.0)
        drift = weight * (receiver_seconds - self.receiver_seconds)
        self.receiver_seconds = min(seconds, self.receiver_seconds + drift)
        self.learnt_at = now

    def failed(self, now: float, seconds: float, asked: float) -> bool:
        """Count a POST that found nobody within so many `seconds`, and say whether the receiver
        counts as away from now on. It may have `asked` to be left alone for so many seconds."""
        self._took(seconds)
        self.earned //= 2
        return self.breaker.failed(now, asked)

    def _took(self, seconds: float) -> None:
        self.seconds += max(SMOOTHING, 1 / (self.earned + 2)) * (seconds - self.seconds)

    def overdue(self, now: float, awake_since: float) -> float:
        """Return for how much longer than it takes nothing was heard of the receiver, though it was
        asked; below 0 as long as its answer is not due.

        Before `awake_since` nobody listened.
        """
        return self._silence(now, awake_since) - self.receiver_seconds

    def waits_in_vain(self, now: float, busy: bool, awake_since: float) -> bool:
        """Say whether the first in line has waited for too long.

        Who waits for the process itself, since that is `busy`, may do so for longer: to rest would
        only keep it busier.
        """
        waited = now - self.line[0].since
        if waited < (patience := LINE_SECONDS if self.earned else UNPROVEN_SECONDS):
            return False
        silent = self._silence(now, awake_since) >= patience
        return silent or not busy or waited >= LONGEST_LINE_SECONDS

    def _silence(self, now: float, awake_since: float) -> float:
        return now - max(self.silent_since, awake_since) if self.in_flight else 0.0

    def idle(self, now: float) -> bool:
        """Say whether nothing is lost by forgetting it."""
        busy = self.in_flight or self.line or not self.breaker.is_forgotten(now)
        return not busy and self.moments.over(now)

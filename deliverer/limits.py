"""Nobody slowed by a neighbour: how much of a deliverer one listener may take.

A listener has as many POSTs under way as it has earned by successes, up to a cap. What is over
waits in the process, if it will be for a moment only and takes no place from others. Else it
reserves one of the listener's next free moments and waits in the broker until then, once, so that a
long backlog does not circulate; so does what is over a rate. The arithmetic is that of GCRA, the
generic cell rate algorithm (ITU-T I.371), with a count of moments in the place of a time: when the
receiver becomes faster, the same line is shorter.

Since nothing waits here for longer than LINE_SECONDS, the messages that a deliverer has taken move
on whatever their listeners do.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from deliverer.breaker import Breaker

logger = logging.getLogger("durian.deliverer")

START = 10
"""POSTs that a listener may have under way before its first success. Each success earns one more,
and a place in line; each failure for which nobody is there takes half of what was earned. Places
that nobody else wants need not be earned."""
CROWDED = 0.75
"""When this part of the process is taken, each listener has one POST under way at a time: however
many receivers hang, something is left for the others."""
BUSY = 1 / 16
"""When this part is taken, that holds for all whose answers come fast: what the process itself is
too busy for would only be more connections. For slower ones it holds from as many on as
POSTS_PER_SECOND needs to have under way (Little's law)."""
POSTS_PER_SECOND = 5000.0
"""About what a process can do."""
LINE_SECONDS = 2.0
UNPROVEN_SECONDS = 0.5
"""How long the line of a listener waits that has not had a success yet."""
SWEEP_SECONDS = 0.25
LEAST_WAIT = 0.25
SMOOTHING = 0.02
"""The weight of a POST's time, from the fiftieth success on; the first ones weigh more. A moment in
which this process itself is slow must not look like a slow receiver."""
FIRST_GUESS_SECONDS = 0.02
RETURNS_PER_SECOND = 200.0
"""How many deliveries to receivers that are away come back at most, of one process."""
MAX_KEPT = 100_000


class Pause(NamedTuple):
    """How long a delivery waits in the broker: for a moment of its own, or for a receiver that is
    `away`."""

    seconds: float
    away: bool = False


Go = Callable[[], bool]
"""Makes the POST, and says whether it is under way; if so, `release` follows."""
Park = Callable[[Pause], None]


class _Waiting(NamedTuple):
    since: float
    rate: float
    go: Go
    park: Park


class _Share:
    __slots__ = (
        "at",
        "best",
        "breaker",
        "earned",
        "in_flight",
        "interval",
        "line",
        "promised",
        "seconds",
    )

    def __init__(self, now: float) -> None:
        self.in_flight = 0
        self.earned = 0
        self.seconds = FIRST_GUESS_SECONDS
        self.best = 0.0
        """Seconds of the fastest answers: the others may have waited for this process."""
        self.line: deque[_Waiting] = deque()
        self.breaker = Breaker()
        self.promised = 0.0
        """Free moments that are reserved already, as of the time `at`, each of `interval`."""
        self.at = now
        self.interval = 0.0

    def idle(self, now: float) -> bool:
        """Say whether nothing is lost by forgetting it."""
        ahead = self.promised * self.interval > now - self.at
        return not (self.in_flight or self.line or ahead or self.breaker.is_open)


class Limits:
    """The shares of one deliverer that may have `total` POSTs under way, and `cap` for a listener.

    Times are of `clock`, in seconds. From any thread.
    """

    def __init__(self, total: int, cap: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._deliverers = 1
        self._total = total
        self._cap = cap
        self._clock = clock
        self._shares: dict[int, _Share] = {}
        self._lined: dict[int, _Share] = {}
        self._in_flight = 0
        self._returns_at = 0.0
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def admit(self, listener: int, rate: float, reserved: bool, go: Go, park: Park) -> None:
        """Call `go` now or soon, when the listener has room, or `park` with how long to wait.

        `rate` is in POSTs a second, 0 for no limit; `reserved` says that the delivery has waited
        for a moment of its own already.
        """
        rate /= self._deliverers
        with self._lock:
            now = self._clock()
            share = self._share(listener, now)
            pause = self._pause(share, rate, reserved, now)
            if not pause:
                share.line.append(_Waiting(now, rate, go, park))
                self._lined[listener] = share
        if pause:
            park(pause)
        else:
            self._serve(share)

    def release(self, listener: int, seconds: float, away: bool) -> None:
        """Count one POST less under way; it took `seconds`, and maybe found nobody there."""
        with self._lock:
            share, now = self._shares[listener], self._clock()
            share.in_flight -= 1
            self._in_flight -= 1
            share.seconds += max(SMOOTHING, 1 / (share.earned + 2)) * (seconds - share.seconds)
            if away:
                share.earned //= 2
                opened, was_away = share.breaker.failed(now), 0.0
            else:
                share.earned = min(share.earned + 1, self._total)
                slower = SMOOTHING * (seconds - share.best)
                share.best = min(seconds, share.best + slower) if share.best else seconds
                opened, was_away = False, share.breaker.succeeded(now)
        if opened:
            logger.warning("Listener %d is away: its deliveries wait for it.", listener)
        if was_away:
            logger.warning("Listener %d is back, after %.0f seconds.", listener, was_away)
        self._serve(share)

    def count(self, deliverers: int) -> None:
        """Take note of how many deliverers there are: each has its part of a listener's rate."""
        self._deliverers = max(deliverers, 1)

    def watch(self) -> None:
        """Let nobody wait here for long, until `stop`."""
        while not self._stopping.wait(SWEEP_SECONDS):
            self.sweep()

    def stop(self) -> None:
        """Let `watch` return."""
        self._stopping.set()

    def sweep(self) -> None:
        """Park who has waited for too long, and who waits for a receiver that is away."""
        with self._lock:
            now = self._clock()
            parked = [pair for share in self._lined.values() for pair in self._swept(share, now)]
            self._lined = {key: share for key, share in self._lined.items() if share.line}
        for park, pause in parked:
            park(pause)

    def _swept(self, share: _Share, now: float) -> list[tuple[Park, Pause]]:
        parked = []
        overdue = now - (LINE_SECONDS if share.earned else UNPROVEN_SECONDS)
        while share.line and (share.breaker.is_open or share.line[0].since <= overdue):
            waiting = share.line.popleft()
            parked.append((waiting.park, self._turned_away(share, waiting.rate, now)))
        return parked

    def _serve(self, share: _Share) -> None:
        while True:
            with self._lock:
                if not share.line or share.in_flight >= self._allowed(share, self._clock()):
                    return
                waiting = share.line.popleft()
                share.in_flight += 1
                self._in_flight += 1
            if not waiting.go():
                with self._lock:
                    share.in_flight -= 1
                    self._in_flight -= 1

    def _allowed(self, share: _Share, now: float) -> int:
        if share.breaker.is_open:
            return 1 if now >= share.breaker.probe_at else 0
        useful = max(self._total * BUSY, share.best * POSTS_PER_SECOND)
        crowded = self._in_flight >= min(self._total * CROWDED, useful)
        return 1 if crowded else min(self._cap, START + share.earned)

    def _pause(self, share: _Share, rate: float, reserved: bool, now: float) -> Pause | None:
        room = not share.line and share.in_flight < self._allowed(share, now)
        if share.breaker.is_open and not room:
            return self._turned_away(share, rate, now)
        # A rate is kept to the letter; without one nobody waits for those who were parked before.
        in_turn = reserved or not rate or not self._promised(share, rate, now)
        if in_turn and (room or self._soon(share)):
            share.promised += 1 if rate and not reserved else 0
            return None
        return self._turned_away(share, rate, now)

    def _soon(self, share: _Share) -> bool:
        ahead = len(share.line) + 1
        if ahead + share.in_flight > max(START + share.earned, self._fair_part()):
            return False
        # By the fastest answers, none before the first: the line must not be short since this
        # process is slow, and who has waited too long is parked then.
        return ahead * share.best / self._cap <= LINE_SECONDS

    def _fair_part(self) -> float:
        """Return how many places a listener may have without having earned them.

        One alone may take all of the process: nobody else's delivery is here to suffer from it.
        Who had something here since the last sweep counts.
        """
        return self._total / max(len(self._lined), 1)

    def _turned_away(self, share: _Share, rate: float, now: float) -> Pause:
        if share.breaker.is_open:
            self._returns_at = max(self._returns_at, now) + 1 / RETURNS_PER_SECOND
            return Pause(share.breaker.hold(now) + self._returns_at - now, away=True)
        moment = self._promised(share, rate, now) + len(share.line) * share.seconds / self._cap
        share.promised += 1
        return Pause(max(moment, LEAST_WAIT))

    def _promised(self, share: _Share, rate: float, now: float) -> float:
        """Return how long the moments that are reserved already will take."""
        share.interval = max(share.seconds / self._cap, 1 / rate if rate else 0.0)
        left = share.promised - (now - share.at) / share.interval if share.interval else 0.0
        # A thousandth of a moment is none: floats do not come out even.
        share.promised, share.at = left if left > 0.001 else 0.0, now
        return share.promised * share.interval

    def _share(self, listener: int, now: float) -> _Share:
        share = self._shares.get(listener)
        if share is None:
            if len(self._shares) >= MAX_KEPT:
                self._shares = {key: one for key, one in self._shares.items() if not one.idle(now)}
            share = self._shares[listener] = _Share(now)
        return share

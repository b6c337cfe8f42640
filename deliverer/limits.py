"""Nobody slowed by a neighbour: how much of a deliverer one listener may take.

A listener has a cap of POSTs in flight and may have a rate. What is over reserves the listener's
next free moment and waits in the broker until then, once: a long backlog does not circulate. The
arithmetic is that of GCRA, the generic cell rate algorithm (ITU-T I.371): one number a listener,
the moment that the next one in line gets.
"""

import threading
import time
from collections.abc import Callable

SMOOTHING = 0.2
FIRST_GUESS_SECONDS = 0.1
LEAST_WAIT = 0.25
MAX_KEPT = 100_000


class _Share:
    __slots__ = ("in_flight", "next_free", "seconds")

    def __init__(self) -> None:
        self.in_flight = 0
        self.next_free = 0.0
        self.seconds = FIRST_GUESS_SECONDS


class Limits:
    """Shares of one deliverer, by listener. Times are of `clock`, in seconds."""

    def __init__(self, cap: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._cap = cap
        self._clock = clock
        self._shares: dict[int, _Share] = {}
        self._lock = threading.Lock()

    def admit(self, listener: int, rate: float, reserved: bool) -> float:
        """Return 0 and count a POST in flight, or the seconds to wait for a free moment.

        `rate` is in POSTs a second, 0 for no limit; `reserved` says that the delivery has waited
        for a moment of its own already. Who got 0 calls `release` afterwards.
        """
        with self._lock:
            share, now = self._share(listener), self._clock()
            full = share.in_flight >= self._cap
            in_line = not reserved and share.next_free > now
            if full or in_line:
                return self._reserve(share, rate, now)
            share.in_flight += 1
            if rate and not reserved:
                share.next_free = max(share.next_free, now) + 1 / rate
            return 0.0

    def release(self, listener: int, seconds: float) -> None:
        """Count one POST less in flight; it took `seconds`."""
        with self._lock:
            share = self._shares[listener]
            share.in_flight -= 1
            share.seconds += SMOOTHING * (seconds - share.seconds)

    def _share(self, listener: int) -> _Share:
        share = self._shares.get(listener)
        if share is None:
            self._forget_idle()
            share = self._shares[listener] = _Share()
        return share

    def _reserve(self, share: _Share, rate: float, now: float) -> float:
        interval = max(share.seconds / self._cap, 1 / rate if rate else 0.0)
        # A rate's next moment was counted by the one before; a full listener's is one interval on.
        moment = max(share.next_free, now if rate else now + interval)
        share.next_free = moment + interval
        return max(moment - now, LEAST_WAIT)

    def _forget_idle(self) -> None:
        if len(self._shares) < MAX_KEPT:
            return
        now = self._clock()
        self._shares = {
            listener: share
            for listener, share in self._shares.items()
            if share.in_flight or share.next_free > now
        }

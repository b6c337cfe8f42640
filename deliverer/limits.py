"""Nobody slowed by a neighbour: how much of a deliverer one listener may take.

A listener has as many POSTs under way as it has earned by successes, up to a cap. What is over
waits in the process, if it will be for a moment only and takes no place from others. Else it
reserves one of the listener's next free moments and waits in the broker until then, once, so that a
long backlog does not circulate; so does what is over a rate. Nothing waits here for its receiver
for longer than LINE_SECONDS: what a deliverer has taken moves on whatever its listeners do.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from deliverer.awake import AwakeClock
from deliverer.share import LINE_SECONDS, UNPROVEN_SECONDS, Go, Park, Pause, Share, Waiting
from deliverer.shares import Shares
from durian.cpuload import CPULoad
from durian.wire.topology import step_over

logger = logging.getLogger("durian.deliverer")

CROWDED = 0.75
"""When this part of the process is taken, each listener has one POST under way at a time: however
many receivers hang, something is left for the others."""
BUSY, MANY = 1 / 16, 250
"""When this part is taken, or so many places, those whose answers come fast have no more than an
equal part of them each: what the process itself is too busy for would only be more connections. For
slower ones it is as many as POSTS_PER_SECOND needs to have under way (Little's law)."""
CPU_BOUND = 0.7
"""From this part of a CPU on, which its threads share, the process is what is waited for."""
POSTS_PER_SECOND = 40_000.0
"""Far more than a process can do, since what is known for certain of a receiver's time is less than
it takes, the less the busier the process is: so slow receivers do not make it slower and slower."""
SWEEP_SECONDS = 0.25
AT_ONCE, REST_SECONDS = 25, 0.005
"""So many are parked by a sweep at a time: without rests all other deliveries would wait when many
receivers go away at once."""
LEAST_WAIT = 0.25
RETURNS_PER_SECOND = 200.0
"""How many deliveries of one process come back to receivers that are away, in equal parts."""
CROWD_SECONDS, CROWD = 5.0, 5
"""So many seconds' worth of POSTs under a rate, and so many more, may come too early: what waits in
the broker does not come back to the moment, nor to the process that reserved it. With a fifth of
this, four processes lose a fifth of a low rate."""


class Limits:
    """The shares of one deliverer that may have `total` POSTs under way, and `cap` for a listener.

    Times are of `clock`, in seconds; `load` says what part of a CPU the process has used since it
    was asked last. From any thread.
    """

    def __init__(
        self,
        total: int,
        cap: int,
        clock: Callable[[], float] = time.monotonic,
        load: Callable[[], float] | None = None,
    ) -> None:
        self._deliverers = 1
        self._total = total
        self._cap = cap
        self._now = AwakeClock(clock)
        self._load = load or CPULoad().look
        self._shares = Shares()
        self._present: set[Share] = set()
        """Those for whom something has come since the last sweep, or is in line still."""
        self._present_before = 0
        self._turns: OrderedDict[Share, None] = OrderedDict()
        """Whose deliveries wait for a place, in turn; some may have no line, or no right to it."""
        self._in_flight = 0
        self._returning: set[Share] = set()
        """Those who are away and have a queue of deliveries that will come back."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def admit(self, listener: int, rate: float, reserved: bool, go: Go, park: Park) -> None:
        """Call `go` now or soon, when the listener has room, or `park` with how long to wait.

        `rate` is in POSTs a second, 0 for no limit; `reserved` says that the delivery has waited
        for a moment of its own already.
        """
        rate /= self._deliverers
        pause = None
        with self._lock:
            now = self._now()
            share = self._shares.of(listener, now)
            self._present.add(share)
            room = not share.line and share.in_flight < self._allowed(share, now)
            if not self._takes(share, room, rate, reserved, now):
                pause = self._turned_away(share, rate, now)
            elif room:
                self._begin(share, now)
            else:
                share.line.append(Waiting(now, rate, go, park))
                self._turns.setdefault(share)
        if pause:
            park(pause)
        elif room and not go():
            self._serve(self._instead(share))

    def release(
        self,
        listener: int,
        seconds: float,
        receiver_seconds: float,
        away: bool,
        asked: float = 0.0,
    ) -> None:
        """Count one POST less under way; it took `seconds`, and maybe found nobody there.

        At least `receiver_seconds` of these were the receiver's, and others this process's. Who is
        `away` may have `asked` to be left alone for so many seconds.
        """
        opened, was_away = False, 0.0
        with self._lock:
            share, now = self._shares[listener], self._now()
            self._end(share)
            # What the process cuts off at its own end tells nothing of the receiver either.
            if not self._now.slept_through(seconds, now) and not self._stopping.is_set():
                if away:
                    opened = share.failed(now, seconds, asked)
                else:
                    was_away = share.succeeded(now, seconds, receiver_seconds, self._total)
            turn = self._next(share, now)
        if opened:
            logger.warning("Listener %d is away: its deliveries wait for it.", listener)
        if was_away:
            logger.warning("Listener %d is back, after %.0f seconds.", listener, was_away)
        self._serve(turn)

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
            now, busy = self._now(), self._load() > CPU_BOUND and not self._is_crowded
            parked = [pair for share in self._present for pair in self._swept(share, now, busy)]
            self._present_before = len(self._present)
            self._present = {share for share in self._present if share.line}
            self._returning = {one for one in self._returning if one.breaker.is_crowded(now)}
        for number, (park, pause) in enumerate(parked, start=1):
            park(pause)
            if number % AT_ONCE == 0:
                self._stopping.wait(REST_SECONDS)

    def _swept(self, share: Share, now: float, busy: bool) -> list[tuple[Park, Pause]]:
        parked, awake = [], self._now.awake_since
        # Who has all that it may have waits for its own answers.
        busy = busy and share.in_flight < self._most(share)
        while share.line and (share.breaker.is_open or share.waits_in_vain(now, busy, awake)):
            waiting = share.line.popleft()
            parked.append((waiting.park, self._turned_away(share, waiting.rate, now)))
        return parked

    def _serve(self, turn: "_Turn | None") -> None:
        """Let these go, and then whoever has room as well. Without the lock."""
        while turn:
            if not turn.waiting.go():
                turn = self._instead(turn.share)
                continue
            with self._lock:
                turn = self._next(turn.share, self._now())

    def _instead(self, share: Share) -> "_Turn | None":
        """Return who goes in the place of one whose POST could not be made. Without the lock."""
        with self._lock:
            self._end(share)
            return self._next(share, self._now())

    def _next(self, share: Share, now: float) -> "_Turn | None":
        """Return who goes next, counted as under way, if somebody waits and there is room.

        A place that `share` has left is not its own, unless it has no other: whoever once had many
        would keep them and let the others have one at a time.
        """
        if share.line:
            self._turns.setdefault(share)
        idle = share.line and not share.in_flight
        for one in (share if idle else self._in_turn(now), share):
            if one and one.line and one.in_flight < self._allowed(one, now):
                self._begin(one, now)
                return _Turn(one, one.line.popleft())
        return None

    def _in_turn(self, now: float) -> Share | None:
        """Return whose turn it is; those who have all they may have wait for their own answers."""
        while self._turns:
            share = next(iter(self._turns))
            room = share.in_flight < self._most(share) and not share.breaker.is_open
            silent = share.overdue(now, self._now.awake_since) > UNPROVEN_SECONDS
            if share.line and room and not silent:
                return share
            del self._turns[share]
        return None

    def _begin(self, share: Share, now: float) -> None:
        if share in self._turns:
            self._turns.move_to_end(share)
        share.began(now)
        self._in_flight += 1

    def _end(self, share: Share) -> None:
        share.in_flight -= 1
        self._in_flight -= 1

    def _allowed(self, share: Share, now: float) -> int:
        if share.breaker.is_open:
            return 1 if now >= share.breaker.probe_at else 0
        if self._is_crowded:
            return 1
        useful = max(min(self._total * BUSY, MANY), share.receiver_seconds * POSTS_PER_SECOND)
        part = useful if self._in_flight < useful else useful / self._listeners()
        return min(self._most(share), max(int(part), 1))

    def _most(self, share: Share) -> int:
        return min(self._cap, share.deserved)

    @property
    def _is_crowded(self) -> bool:
        return self._in_flight >= self._total * CROWDED

    def _takes(self, share: Share, room: bool, rate: float, reserved: bool, now: float) -> bool:
        """Say whether a delivery may go or wait here; with a rate, that takes one of its moments.

        Without a rate nobody waits for those who were parked before.
        """
        if not rate:
            return room or self._soon(share, now)
        # Those that reserved with a process that has ended come beside all others, and many that
        # were late may come at once.
        crowd = share.posts.ahead(1 / rate, now) > CROWD_SECONDS + CROWD / rate
        queue = not reserved and self._ahead(share, rate, now)
        if crowd or queue or not (room or self._soon(share, now)):
            return False
        if not reserved:
            share.moments.reserve()
        share.posts.reserve()
        return True

    def _soon(self, share: Share, now: float) -> bool:
        """Say whether a delivery more may wait in line, and will hardly do so in vain."""
        ahead = len(share.line) + 1
        if share.breaker.is_open or share.overdue(now, self._now.awake_since) > LINE_SECONDS:
            return False
        if ahead + share.in_flight > max(share.deserved, self._fair_part()):
            return False
        # By what the receiver itself takes, nothing before its first answer: the line must not be
        # short since this process is slow, and a sweep parks who has waited for too long.
        return ahead * share.receiver_seconds / self._cap <= LINE_SECONDS

    def _fair_part(self) -> float:
        """Return how many places a listener may have without having earned them.

        One alone may take all of the process: nobody else's delivery is here to suffer from it.
        """
        return self._total / self._listeners()

    def _listeners(self) -> int:
        return max(len(self._present), self._present_before)

    def _turned_away(self, share: Share, rate: float, now: float) -> Pause:
        if share.breaker.is_open:
            self._returning.add(share)
            seconds = share.breaker.hold(now, len(self._returning) / RETURNS_PER_SECOND)
            return Pause(step_over(seconds), away=True, silence=share.breaker.silence(now))
        moment = self._ahead(share, rate, now) + len(share.line) * share.seconds / self._cap
        share.moments.reserve()
        overdue = share.overdue(now, self._now.awake_since)
        if not rate and overdue > 0:
            # Who has said nothing for a while is likely to do so for a while more. Twice as long:
            # to rest again costs the broker more than the wait costs who is late already.
            moment = max(moment, step_over(2 * overdue))
        return Pause(max(moment, LEAST_WAIT))

    def _ahead(self, share: Share, rate: float, now: float) -> float:
        """Return how long the moments that are reserved already will take."""
        return share.moments.ahead(max(share.seconds / self._cap, 1 / rate if rate else 0.0), now)


class _Turn(NamedTuple):
    share: Share
    waiting: Waiting

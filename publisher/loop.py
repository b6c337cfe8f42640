"""The relay's loop: publishes what it is given, sweeps now and then, backs off while something is
away."""

import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime

from durian.errors import Unavailable
from durian.eventrow import EventRow
from durian.wire.backoff import Backoff
from durian.wire.wakeup import Wakeup, wait_readable
from publisher.handover import Handover
from publisher.relay import BATCH, Relay

logger = logging.getLogger("durian.publisher")

TICK_SECONDS = 1.0

GATHER_SECONDS = 0.01
GATHER_MOST_SECONDS = 0.1
GATHER_SECONDS_EACH = 0.003
"""After a turn the next one waits, between these bounds, so long for each event that it published:
each costs the same few statements and a confirm, and the site whose process this is waits for the
interpreter meanwhile. The events of a process that raises more than one in GATHER_SECONDS_EACH are
gathered; after a pause nothing waits. Nothing is gained by that behind a full batch."""


class RelayLoop:
    """Runs a relay until it is stopped.

    With `sweep` it looks into the outboxes every so many seconds, for what others left behind;
    with None only for what it is told of by `give`.
    """

    def __init__(self, relay: Relay, sweep: float | None) -> None:
        self._relay = relay
        self._sweep = sweep
        self._handover = Handover()
        self._wakeup = Wakeup()
        self._nudged = threading.Event()
        self._unclaimed = threading.Event()
        self._stopping = threading.Event()
        self._at_work = threading.Lock()
        self._backoff = Backoff()
        self._next_sweep = 0.0
        self._next_turn = 0.0

    def claim_until(self, count: int) -> datetime | None:
        """Return until when `count` events about to be recorded are this loop's, None if nobody's.

        From any thread; never blocks.
        """
        return self._handover.claim_until(count)

    def give(self, using: str, rows: Sequence[EventRow]) -> None:
        """Take `rows`, committed to the database `using`. From any thread; never blocks.

        None at all say that something else is in an outbox.
        """
        if not self._handover.give(using, rows):
            self._unclaimed.set()
        # Whoever was woken before has not looked yet: it will see this, too.
        if not self._nudged.is_set():
            self._nudged.set()
            self._wakeup.set()

    def stop(self) -> None:
        """Let `run` return after the batch under way and what it was given. From any thread."""
        self._handover.is_open = False
        self._stopping.set()
        self._wakeup.set()

    def hold(self, within: float) -> bool:
        """Let nothing be published until `release`; say whether that came to be in time."""
        return self._at_work.acquire(timeout=within)

    def release(self) -> None:
        """End what `hold` began."""
        self._at_work.release()

    def run(self) -> None:
        """Publish until `stop`."""
        try:
            while not self._stopping.is_set():
                wait = self._publish_if_due()
                wait_readable([self._wakeup, *self._relay.sources()], wait)
                self._wakeup.clear()
                self._relay.keep_alive()
            while self._handover.waiting and self._publish(sweeps=False):
                pass
        finally:
            # Whatever ended it, nobody shall leave events to it.
            self._handover.is_open = False
            self._relay.close()

    def _publish_if_due(self) -> float:
        """Publish unless it is too early, and return the seconds to wait for what comes next."""
        sweeps = self._sweep is not None and time.monotonic() >= self._next_sweep
        if not sweeps and not self._nudged.is_set():
            return min(self._sweep or TICK_SECONDS, TICK_SECONDS)
        if not self._backoff.due:
            return 0.1
        if (early := self._next_turn - time.monotonic()) > 0:
            return early
        self._nudged.clear()
        self._next_sweep = time.monotonic() + (self._sweep or 0.0)
        self._publish(sweeps)
        return 0.0

    def _publish(self, sweeps: bool) -> bool:
        """Publish what was given and what may be claimed; say whether that went well."""
        try:
            with self._at_work:
                published = self._publish_given()
                if sweeps or self._unclaimed.is_set():
                    self._unclaimed.clear()
                    published += self._relay.drain(self._stopping.is_set, look=sweeps)
            self._backoff.succeeded()
            self._handover.is_open = self._relay.is_connected and not self._stopping.is_set()
            self._gather(published)
            return True
        except Unavailable as error:
            logger.warning("Events wait in the outbox, next try in %.1f s: %s", self._wait(), error)
        except Exception:
            # Whatever it is, a relay that ended would publish nothing until its process ends, too.
            logger.exception("Events wait in the outbox, next try in %.1f s.", self._wait())
        return False

    def _publish_given(self) -> int:
        using, rows = self._handover.fetch(BATCH)
        if self._handover.waiting:
            self._nudged.set()
        published = self._relay.publish(using, rows) if rows else 0
        if published < len(rows):
            self._unclaimed.set()
        return published

    def _gather(self, published: int) -> None:
        longest = GATHER_MOST_SECONDS if published < BATCH else GATHER_SECONDS
        rest = min(max(GATHER_SECONDS_EACH * published, GATHER_SECONDS), longest)
        self._next_turn = time.monotonic() + rest

    def _wait(self) -> float:
        self._handover.is_open = False
        self._unclaimed.set()
        self._nudged.set()
        return self._backoff.failed()

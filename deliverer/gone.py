"""Receivers that want no more events, or took none for days: they are disabled, with notice.

By a thread of its own. To change a listener takes a lock that any transaction of the site's may
hold, and runs code of the site's: no delivery is to wait for either.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from django.db import router
from django.utils import timezone

from deliverer.row import Row
from deliverer.verdict import GONE
from durian.database import available
from durian.errors import Unavailable
from durian.models import Attempt, Listener
from durian.signals import listener_disabled

logger = logging.getLogger("durian.deliverer")

GONE_REASON = "The receiver answered 410 Gone: it wants no more events."
FAILING_REASON = "No delivery has succeeded for {days} days."
LOOK_SECONDS = 3600.0
"""How often a listener whose deliveries die is looked at: its attempts may be many."""
MAX_KEPT = 100_000


class Disabler:
    """Is shown attempts, once they are in the log, and disables their listeners if it has to be.

    `days` is how long all deliveries to one must have failed, 0 for never; `clock` is in seconds.
    """

    def __init__(self, days: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._days = days
        self._clock = clock
        self._gone: set[int] = set()
        self._dead: set[int] = set()
        self._noted = threading.Condition()
        self._stopping = False
        self._looked: dict[int, float] = {}

    def note(self, attempts: Sequence[Row]) -> None:
        """Take note of the listeners that answered 410, and of those whose deliveries died. From
        any thread."""
        gone = {one.listener_id for one in attempts if one.status == GONE}
        dead = {one.listener_id for one in attempts if one.outcome == Attempt.Outcome.DEAD} - gone
        if gone or dead:
            with self._noted:
                self._gone |= gone
                self._dead |= dead
                self._noted.notify()

    def run(self) -> None:
        """Disable who has to be, and send `listener_disabled`, until `stop`."""
        while True:
            with self._noted:
                self._noted.wait_for(lambda: self._gone or self._dead or self._stopping)
                gone, self._gone = self._gone, set()
                dead, self._dead = self._dead, set()
            if not gone and not dead:
                return
            self._look_at(gone, dead)

    def stop(self) -> None:
        """Let `run` return when it has done what was noted."""
        with self._noted:
            self._stopping = True
            self._noted.notify()

    def _look_at(self, gone: Collection[int], dead: Collection[int]) -> None:
        try:
            with available(router.db_for_write(Listener)):
                for listener in _active(gone):
                    _disable(listener, GONE_REASON)
                if self._days:
                    self._disable_failing(dead)
        except Unavailable as error:
            logger.warning("Who is gone is seen by a later answer: %s", error)

    def _disable_failing(self, dead: Collection[int]) -> None:
        for listener in _active([one for one in dead if self._due(one)]):
            if _fails_for(listener, timedelta(days=self._days)):
                _disable(listener, FAILING_REASON.format(days=self._days))
            self._looked[listener.pk] = self._clock()

    def _due(self, listener: int) -> bool:
        if len(self._looked) >= MAX_KEPT:
            self._looked.clear()
        return self._clock() >= self._looked.get(listener, -LOOK_SECONDS) + LOOK_SECONDS


def _active(listeners: Collection[int]) -> Sequence[Listener]:
    if not listeners:
        return []
    home = Listener.objects.using(router.db_for_write(Listener))
    return list(home.filter(pk__in=listeners, state=Listener.State.ACTIVE))


def _fails_for(listener: Listener, age: timedelta) -> bool:
    """Say whether the last attempt before that age failed, and so did all since.

    What was before the listener's last change does not count.
    """
    start = timezone.now() - age
    attempts = Attempt.objects.using(router.db_for_write(Attempt))
    attempts = attempts.filter(listener_id=listener.pk, started_at__gte=listener.updated_at)
    attempts = attempts.exclude(outcome=Attempt.Outcome.CANCELLED)
    before = attempts.filter(started_at__lt=start).order_by("-started_at").first()
    if before is None or before.outcome == Attempt.Outcome.DELIVERED:
        return False
    since = attempts.filter(started_at__gte=start, outcome=Attempt.Outcome.DELIVERED)
    return not since.exists()


def _disable(listener: Listener, reason: str) -> None:
    try:
        if not listener.set_state(Listener.State.DISABLED, reason):
            return  # Somebody has changed it meanwhile: the next answer tells.
    except Exception:
        # A site's receiver of `post_save`, say, or a database that has just gone away.
        logger.exception("Listener %d cannot be disabled. %s", listener.pk, reason)
        return
    logger.warning("Listener %d (%s) is disabled. %s", listener.pk, listener.url, reason)
    # Django logs what a site's receiver raises; the others are told all the same.
    listener_disabled.send_robust(sender=Listener, listener=listener, reason=reason)

"""What runs beside a site in its own process, and what the outbox sets off there."""

import atexit
import logging
import os
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from durian import conf, roles
from durian.eventrow import EventRow
from durian.models import Attempt, Event
from durian.signals import claim_requested, dispatch_requested, events_committed
from durian.wire import connect

logger = logging.getLogger("durian")

EXIT_SECONDS = 2.0
"""How long a process that ends waits for the batch that its relay is publishing."""

FORK_SECONDS = 1.0
"""How long a fork waits for the batch that the relay is publishing."""


class Background:
    """The relay of this process: started at the first event after a fork.

    With a broker in memory it is all roles, since no other process can see that.
    """

    def __init__(self) -> None:
        self._relay: roles.PublisherRole | None = None
        self._thread: threading.Thread | None = None
        self._inherited: list[roles.PublisherRole] = []
        self._lock = threading.Lock()
        self._held: roles.PublisherRole | None = None
        os.register_at_fork(
            before=self._hold, after_in_parent=self._release, after_in_child=self._forget
        )
        atexit.register(self._finish)

    def claim_until(self, count: int) -> datetime | None:
        """Return until when `count` events about to be recorded are this process's own, if so."""
        return self._relay.claim_until(count) if self._relay else None

    def give(self, using: str, rows: Sequence[EventRow]) -> None:
        """Have `rows`, and what else is in the outboxes if there are none, published now.

        Never blocks and never talks to the broker.
        """
        with self._lock:
            if self._relay is None:
                self._relay = self._start()
        self._relay.give(using, rows)

    def _hold(self) -> None:
        # A child would wait for ever for what the relay's thread had locked when it was forked: an
        # import of its, or the file of SQLite.
        if self._relay and self._relay.hold(FORK_SECONDS):
            self._held = self._relay

    def _release(self) -> None:
        if self._held:
            self._held.release()
        self._held = None

    def _forget(self) -> None:
        # A child process has none of its parent's threads, and its lock may have been held; the
        # parent's connections are kept, unused, for closing them would end the parent's own.
        if self._relay:
            self._inherited.append(self._relay)
        self._relay = self._thread = self._held = None
        self._lock = threading.Lock()
        connect.broker.cache_clear()

    def _finish(self) -> None:
        # A script that raises events and ends: what it has claimed, others would wait a lease for.
        if self._relay and self._thread:
            self._relay.stop(EXIT_SECONDS)
            self._thread.join(EXIT_SECONDS)

    def _start(self) -> roles.PublisherRole:
        relay = roles.PublisherRole(sweep=None)
        others: list[roles.Role] = []
        if roles.is_embedded():
            logger.warning(roles.EMBEDDED_WARNING)
            others = [roles.MatcherRole(), roles.DelivererRole()]
        for role in others:
            roles.start_thread(role.run, f"durian-{role.name}")
        self._thread = roles.start_thread(relay.run, f"durian-{relay.name}")
        return relay


background = Background()


def on_claim_requested(count: int, **_: Any) -> datetime | None:
    """Claim events for the relay of this process, if it has one."""
    return background.claim_until(count) if conf.config().relay == "thread" else None


def on_events_committed(using: str, rows: Sequence[EventRow], **_: Any) -> None:
    """Give events to the relay of this process, if it is to have one."""
    if conf.config().relay == "thread":
        background.give(using, rows)


def on_dispatch_requested(event: Event, outcomes: list[Attempt], **_: Any) -> None:
    """Deliver an event of a hook that dispatches in-process."""
    outcomes.extend(roles.dispatch(event))


def install() -> None:
    """Connect the outbox with what runs; called once, when the app is ready."""
    claim_requested.connect(on_claim_requested, dispatch_uid="durian.background")
    events_committed.connect(on_events_committed, dispatch_uid="durian.background")
    dispatch_requested.connect(on_dispatch_requested, dispatch_uid="durian.background")

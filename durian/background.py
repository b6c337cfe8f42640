"""What runs beside a site in its own process, and what the outbox sets off there."""

import logging
import os
import threading
from typing import Any

from durian import conf, roles
from durian.models import Attempt, Event
from durian.signals import dispatch_requested, events_committed
from durian.wire import connect

logger = logging.getLogger("durian")


class Background:
    """The relay of this process: started at the first event after a fork.

    With a broker in memory it is all roles, since no other process can see that.
    """

    def __init__(self) -> None:
        self._relay: roles.PublisherRole | None = None
        self._inherited: list[roles.PublisherRole] = []
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)

    def nudge(self) -> None:
        """Have the outboxes drained, now. Never blocks and never talks to the broker."""
        with self._lock:
            if self._relay is None:
                self._relay = self._start()
        self._relay.nudge()

    def _forget(self) -> None:
        # A child process has none of its parent's threads, and its lock may have been held; the
        # parent's connections are kept, unused, for closing them would end the parent's own.
        if self._relay:
            self._inherited.append(self._relay)
        self._relay = None
        self._lock = threading.Lock()
        connect.broker.cache_clear()

    def _start(self) -> roles.PublisherRole:
        relay = roles.PublisherRole(sweep=None)
        running: list[roles.Role] = [relay]
        if roles.is_embedded():
            logger.warning(roles.EMBEDDED_WARNING)
            running += [roles.MatcherRole(), roles.DelivererRole()]
        for role in running:
            roles.start_thread(role.run, f"durian-{role.name}")
        return relay


background = Background()


def on_events_committed(using: str, **_: Any) -> None:
    """Nudge the relay of this process, if it is to have one."""
    if conf.config().relay == "thread":
        background.nudge()


def on_dispatch_requested(event: Event, outcomes: list[Attempt], **_: Any) -> None:
    """Deliver an event of a hook that dispatches in-process."""
    outcomes.extend(roles.dispatch(event))


def install() -> None:
    """Connect the outbox with what runs; called once, when the app is ready."""
    events_committed.connect(on_events_committed, dispatch_uid="durian.background")
    dispatch_requested.connect(on_dispatch_requested, dispatch_uid="durian.background")

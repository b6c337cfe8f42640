"""The wiring: which parts make a publisher, a matcher, a deliverer, and what runs in a site.

The only room that knows `publisher` and `deliverer`; everybody else comes by here.
"""

import logging
import os
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

from deliverer.engine import Engine
from deliverer.gone import disable_gone
from deliverer.handler import DeliveryHandler
from deliverer.http import Settings
from deliverer.inprocess import deliver_now
from deliverer.limits import Limits
from deliverer.log import Log
from deliverer.targets import Targets
from durian import conf
from durian.listeners import Listeners
from durian.matcher import Matcher
from durian.models import Attempt, Event
from durian.registry import hooks
from durian.signals import dispatch_requested, events_committed
from durian.wire import connect
from durian.wire.broker import Broker
from durian.wire.pump import Pump
from publisher.loop import RelayLoop
from publisher.relay import Relay

logger = logging.getLogger("durian")

MATCHER_PREFETCH = 500
PUBLISHER_SWEEP_SECONDS = 0.2
"""How often `durian publisher` looks into the outboxes: nobody nudges it."""
MATCHER_SWEEP_SECONDS = 2.0
"""How often a matcher looks for what a web process or a script that ended left behind."""
PARKING_STEP = 32.0
EMBEDDED_WARNING = (
    "DURIAN['BROKER_URL'] is memory://: all roles run in this process, and what waits in its "
    "queues is lost when it ends. For a first look and for tests only."
)


class Role(Protocol):
    """A part of durian that runs until it is stopped, in a thread or as a process."""

    name: str

    def run(self) -> None:
        """Work until `stop`."""
        ...

    def stop(self, within: float) -> None:
        """Take no more work and let `run` return within so many seconds. From any thread."""
        ...


class PublisherRole:
    """Publishes what is in the outboxes."""

    name = "publisher"

    def __init__(self, sweep: float | None = PUBLISHER_SWEEP_SECONDS) -> None:
        self._loop = RelayLoop(Relay(broker(), conf.config().outbox_databases), sweep)

    def nudge(self) -> None:
        """Say that there is something in an outbox."""
        self._loop.nudge()

    def run(self) -> None:
        """Publish until `stop`."""
        self._loop.run()

    def stop(self, within: float) -> None:
        """Return after the batch under way."""
        self._loop.stop()


class MatcherRole:
    """Turns events into deliveries, and publishes what other processes left in the outboxes."""

    name = "matcher"

    def __init__(self) -> None:
        config, names = conf.config(), broker().topology
        matcher = Matcher(Listeners(), names, config.public_exchange)
        self._pump = Pump(
            broker(), names.match, matcher, prefetch=MATCHER_PREFETCH, parking=names.parked_events
        )
        self._sweeper = PublisherRole(MATCHER_SWEEP_SECONDS) if config.relay != "off" else None

    def run(self) -> None:
        """Match until `stop`."""
        if self._sweeper:
            threading.Thread(target=self._sweeper.run, name="durian-sweeper", daemon=True).start()
        self._pump.run()

    def stop(self, within: float) -> None:
        """Finish what was taken."""
        if self._sweeper:
            self._sweeper.stop(within)
        self._pump.stop(within)


class DelivererRole:
    """POSTs deliveries."""

    name = "deliverer"

    def __init__(self) -> None:
        config, names = conf.config(), broker().topology
        self._targets = Targets()
        self._engine = Engine(http_settings())
        self._log = Log(on_written=disable_gone)
        limits = Limits(config.listener_in_flight)
        handler = DeliveryHandler(names, self._targets, self._engine, self._log, limits)
        self._pump = Pump(
            broker(),
            names.deliver,
            handler,
            prefetch=config.max_in_flight,
            parking=names.delay(PARKING_STEP),
        )

    def run(self) -> None:
        """Deliver until `stop`."""
        threading.Thread(target=self._targets.watch, name="durian-targets", daemon=True).start()
        self._engine.start()
        self._log.start()
        self._pump.run()
        self._engine.stop()
        self._log.stop(within=1.0)
        self._targets.stop()

    def stop(self, within: float) -> None:
        """Finish the POSTs under way."""
        self._pump.stop(within)


ROLES: dict[str, type[PublisherRole] | type[MatcherRole] | type[DelivererRole]] = {
    role.name: role for role in (PublisherRole, MatcherRole, DelivererRole)
}


def broker() -> Broker:
    """Return the site's broker. Raises ConfigurationError for a URL of another kind."""
    config = conf.config()
    return connect.broker(config.broker_url, config.name_prefix)


@cache
def http_settings() -> Settings:
    """Return what holds for all POSTs of this process."""
    config = conf.config()
    settings = Settings(conf.guard(), config.proxy)
    return settings if not config.ca_bundle else Settings(conf.guard(), config.proxy, config.ca_bundle)


def dispatch(event: Event) -> list[Attempt]:
    """Deliver `event` in this process, one attempt for each listener, and return the attempts."""
    listeners = hooks[event.hook].get_listeners(None, event.payload)
    return deliver_now(event, listeners, http_settings())


class Background:
    """What runs beside the site in its own process: started at the first event after a fork.

    That is the relay; with a broker in memory it is all roles, since no other process can see it.
    """

    def __init__(self) -> None:
        self._forget()
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
        self._inherited = getattr(self, "_relay", None), getattr(self, "_inherited", None)
        self._relay: PublisherRole | None = None
        self._lock = threading.Lock()
        connect.broker.cache_clear()

    def _start(self) -> PublisherRole:
        relay = PublisherRole(sweep=None)
        others = [MatcherRole(), DelivererRole()] if is_embedded() else []
        if others:
            logger.warning(EMBEDDED_WARNING)
        roles: Sequence[Role] = [relay, *others]
        for role in roles:
            threading.Thread(target=role.run, name=f"durian-{role.name}", daemon=True).start()
        return relay


background = Background()


def is_embedded() -> bool:
    """Say whether the broker is in this process's memory."""
    return conf.config().broker_url.startswith(connect.MEMORY)


def on_events_committed(using: str, **_: Any) -> None:
    """Nudge the relay of this process, if it is to have one."""
    if conf.config().relay == "thread":
        background.nudge()


def on_dispatch_requested(event: Event, **_: Any) -> list[Attempt]:
    """Deliver an event of a hook that dispatches in-process."""
    return dispatch(event)


def install() -> None:
    """Connect the site's side, the outbox, with what runs; called once, when the app is ready."""
    events_committed.connect(on_events_committed, dispatch_uid="durian.roles")
    dispatch_requested.connect(on_dispatch_requested, dispatch_uid="durian.roles")

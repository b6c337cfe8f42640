"""The wiring: which parts make a publisher, a matcher, a deliverer, and what runs in a site.

The only room that knows `publisher` and `deliverer`; everybody else comes by here.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from deliverer.engine import Engine
from deliverer.gone import Disabler
from deliverer.handler import DeliveryHandler
from deliverer.http import Settings
from deliverer.inprocess import deliver_now
from deliverer.limits import Limits
from deliverer.log import Log
from deliverer.reader import DeliveryReader
from deliverer.targets import Targets
from durian import conf
from durian.database import own_connections
from durian.eventrow import EventRow
from durian.hook import Hook
from durian.listeners import Listeners
from durian.matcher import Matcher
from durian.models import Attempt, Event
from durian.registry import hooks
from durian.wire import connect
from durian.wire.broker import Broker
from durian.wire.feed import Feed
from durian.wire.pump import Pump
from publisher.loop import RelayLoop
from publisher.relay import Relay

logger = logging.getLogger("durian")

MATCHER_PREFETCH = 500
PUBLISHER_SWEEP_SECONDS = 0.25
"""How often `durian publisher` looks into the outboxes: nobody tells it of events."""
MATCHER_SWEEP_SECONDS = 2.0
"""How often a matcher looks for what a web process or a script that ended left behind."""
PARKING_STEP = 32.0
LAST_SECONDS = 1.0
"""What a role that ends by itself, or has used up its time, leaves its threads for their last."""
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

    def claim_until(self, count: int) -> datetime | None:
        """Return until when `count` events about to be recorded are this publisher's own, if so."""
        return self._loop.claim_until(count)

    def give(self, using: str, rows: Sequence[EventRow]) -> None:
        """Take `rows` that were committed to the database `using`."""
        self._loop.give(using, rows)

    def hold(self, within: float) -> bool:
        """Let nothing be published until `release`; say whether that came to be in time."""
        return self._loop.hold(within)

    def release(self) -> None:
        """End what `hold` began."""
        self._loop.release()

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
        self._feed = Feed(broker()) if config.public_exchange else None
        self._listeners = Listeners()
        matcher = Matcher(self._listeners, names, self._feed.take if self._feed else None)
        self._pump = Pump(
            broker(),
            names.match,
            matcher,
            prefetch=MATCHER_PREFETCH,
            parking=names.parked_events,
            reader=matcher,
        )
        self._sweeper = PublisherRole(MATCHER_SWEEP_SECONDS) if config.relay != "off" else None
        self._end_by = 0.0

    def run(self) -> None:
        """Match until `stop`."""
        start_thread(self._listeners.watch, "durian-listeners", self._fail)
        start_thread(self._pump.read_aside, "durian-reader", self._fail)
        sweeping = self._sweeper and start_thread(self._sweeper.run, "durian-sweeper", self._fail)
        if self._feed:
            start_thread(self._feed.run, "durian-feed", self._fail)
        try:
            self._pump.run()
        finally:
            self._listeners.stop()
            if self._feed:
                self._feed.stop()
            if self._sweeper and sweeping:
                # What it has claimed, others would wait a lease for, and what it has published
                # already they would publish again.
                self._sweeper.stop(LAST_SECONDS)
                sweeping.join(_left(self._end_by))

    def stop(self, within: float) -> None:
        """Finish what was taken."""
        self._end_by = time.monotonic() + within
        if self._sweeper:
            self._sweeper.stop(within)
        self._pump.stop(within)

    def _fail(self) -> None:
        # Half a role is worse than none: its supervisor starts it anew.
        self._pump.stop(within=0.0)


class DelivererRole:
    """POSTs deliveries."""

    name = "deliverer"

    def __init__(self) -> None:
        config, names = conf.config(), broker().topology
        self._targets = Targets()
        self._engine = Engine(http_settings(), on_failure=self._fail)
        self._disabler = Disabler(config.disable_after_days)
        self._log = Log(self._disabler.note, on_failure=self._fail)
        self._limits = Limits(config.max_in_flight, config.listener_in_flight)
        reader = DeliveryReader(self._targets, self._log)
        handler = DeliveryHandler(
            names, self._targets, reader, self._engine, self._log, self._limits
        )
        self._pump = Pump(
            broker(),
            names.deliver,
            handler,
            prefetch=config.max_in_flight,
            parking=names.delay(PARKING_STEP),
            reader=reader,
            on_census=self._limits.count,
        )
        self._end_by = 0.0

    def run(self) -> None:
        """Deliver until `stop`."""
        start_thread(self._targets.watch, "durian-targets", self._fail)
        start_thread(self._pump.read_aside, "durian-reader", self._fail)
        start_thread(self._limits.watch, "durian-limits", self._fail)
        disabling = start_thread(self._disabler.run, "durian-disabler", self._fail)
        self._engine.start()
        self._log.start()
        try:
            self._pump.run()
        finally:
            self._limits.stop()
            self._engine.stop()
            # It has what was acked while the database was away.
            self._log.stop(_left(self._end_by))
            self._disabler.stop()
            disabling.join(_left(self._end_by))
            self._targets.stop()

    def stop(self, within: float) -> None:
        """Finish the POSTs under way."""
        self._end_by = time.monotonic() + within
        self._pump.stop(within)

    def _fail(self) -> None:
        # Half a role is worse than none: its supervisor starts it anew.
        self._pump.stop(within=0.0)


ROLES: dict[str, type[PublisherRole] | type[MatcherRole] | type[DelivererRole]] = {
    role.name: role for role in (PublisherRole, MatcherRole, DelivererRole)
}


def _left(end_by: float) -> float:
    return max(end_by - time.monotonic(), LAST_SECONDS)


def start_thread(
    target: Callable[[], None], name: str, on_failure: Callable[[], None] = lambda: None
) -> threading.Thread:
    """Run `target` in a daemon thread that gives its database connections back at its end.

    `on_failure` is called should it raise.
    """

    def run() -> None:
        try:
            with own_connections():
                target()
        except Exception:
            logger.critical("The thread %s failed.", name, exc_info=True)
            on_failure()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def broker() -> Broker:
    """Return the site's broker. Raises ConfigurationError for a URL of another kind."""
    config = conf.config()
    return connect.broker(config.broker_url, config.name_prefix)


def http_settings() -> Settings:
    """Return what holds for all POSTs of the site."""
    config = conf.config()
    settings = Settings(conf.guard(), config.proxy)
    return replace(settings, ca_bundle=config.ca_bundle) if config.ca_bundle else settings


def dispatch(event: Event) -> list[Attempt]:
    """Deliver `event` in this process, one attempt for each listener, and return the attempts."""
    # One that is not registered is sent by its name all the same, as those of the broker's are.
    hook = hooks.get(event.hook) or Hook(event.hook)
    listeners = hook.get_listeners(None, event.payload)
    return deliver_now(event, listeners, http_settings())


def is_embedded() -> bool:
    """Say whether the broker is in this process's memory."""
    return conf.config().broker_url.startswith(connect.MEMORY)

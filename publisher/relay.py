"""From the outbox to the broker: claim rows, publish them confirmed, mark them.

Rows are claimed for a while; nothing is locked while the broker is waited for. What a relay that
died had claimed is free again when its claim is over.
"""

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.db import router
from django.utils import timezone

from durian.database import available
from durian.errors import DatabaseAway, MessageRefused, Unavailable
from durian.eventrow import EventRow
from durian.ids import first_event_id
from durian.models import ListenerClock
from durian.wire.backoff import Backoff
from durian.wire.broker import Broker, Outgoing, Publisher
from durian.wire.messages import EventMessage, encode
from durian.wire.publishing import Batch, publish_all
from durian.wire.wakeup import HasFileno
from publisher.claims import FIRST, claim, let_go, quarantine, renew, settle, skips_locked, waits

logger = logging.getLogger("durian.publisher")

BATCH = 500
UNDER_WAY = 3
"""Batches that are published at once: while the broker works at one, the database gives the next
and marks the one before."""
CONFIRM_SECONDS = 20.0
"""How long the broker may confirm nothing. What is published is claimed for longer."""
RENEW_SECONDS = 10.0
"""How often what the broker takes its time with is claimed anew, so that no other relay publishes
it meanwhile."""

YOUNG = timedelta(minutes=5)
"""Most looks pass by what is older. What was published stays in the index for as long as a snapshot
of the database is older, of a dump or a report, and to come to what waits behind it takes longer
and longer."""
OLD_SECONDS = 30.0
"""How often a look leaves out nothing: a transaction may have been longer."""


class Relay:
    """Publishes what is in the outboxes of `databases`. For one thread."""

    def __init__(self, broker: Broker, databases: Sequence[str]) -> None:
        self._broker = broker
        self._databases = databases
        self._publisher: Publisher | None = None
        self._pauses: dict[str, Backoff] = defaultdict(Backoff)
        """Of databases that were away when others were not."""
        self._next_old: dict[str, float] = defaultdict(float)
        self._unsettled: dict[str, deque[_Claimed]] = defaultdict(deque)
        """What was published while its database went away, to be marked before anything else."""

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to the broker, as far as is known."""
        return self._publisher is not None

    def drain(self, stopping: Callable[[], bool] = lambda: False, look: bool = True) -> int:
        """Publish everything that waits and return how many events that were.

        Who knows that something waits need not `look` before claiming. Returns early, after what is
        under way, when `stopping` says so. Raises Unavailable when the broker is away, or every
        database; nothing is lost then. One that is away alone is left alone for a while.
        """
        published, failures = 0, dict[str, Unavailable]()
        due = [using for using in self._databases if self._pauses[using].due]
        for using in due:
            try:
                published += self._drain(using, stopping, look)
                self._pauses[using].succeeded()
            except Unavailable as error:
                failures[using] = error
                self._next_old[using] = 0.0  # Whatever was left is old when it is back.
        for failure in failures.values():
            if len(failures) == len(due) or not isinstance(failure, DatabaseAway):
                raise failure
        for using, failure in failures.items():
            wait = self._pauses[using].failed()
            logger.warning("Events wait in one outbox, next try in %.1f s: %s", wait, failure)
        return published

    def _drain(self, using: str, stopping: Callable[[], bool], look: bool) -> int:
        published, count = 0, BATCH
        # What was refused may have ended it early; behind less than a batch is nothing.
        while count >= BATCH and not stopping():
            count = self._publish(using, self._claims(using, stopping, look))
            published += count
        return published

    def publish(self, using: str, rows: Sequence[EventRow]) -> int:
        """Publish `rows`, claimed when they were recorded, and return how many that were.

        Those whose claim would end too soon are let go of: `drain` finds them. Raises Unavailable
        when the broker or the database is away; nothing is lost then.
        """
        enough = timezone.now() + timedelta(seconds=CONFIRM_SECONDS)
        own, late = list[EventRow](), list[EventRow]()
        for row in rows:
            (own if row.claimed_until and row.claimed_until > enough else late).append(row)
        if late:
            with available(using):
                let_go(using, late)
        return self._publish(using, [own]) if own else 0

    def sources(self) -> list[HasFileno]:
        """Return what to wait for, beside a nudge, before `keep_alive`."""
        return [self._publisher] if self._publisher else []

    def keep_alive(self) -> None:
        """Answer the broker's heartbeats; wanted once a second while there is nothing to do."""
        try:
            if self._publisher:
                self._publisher.read()
        except Unavailable:
            # An idle connection was lost: nothing was under way, the next batch connects anew.
            self.close()

    def close(self) -> None:
        """Close the connection to the broker."""
        if self._publisher:
            self._publisher.close()
            self._publisher = None

    def _claims(
        self, using: str, stopping: Callable[[], bool], look: bool
    ) -> Iterator[Sequence[EventRow]]:
        """Claim batch after batch, until there is nothing more that is free."""
        # Who has nothing to publish need not connect, and where rows are not locked one by one
        # (SQLite) a claim would take the one write lock each time.
        with available(using):
            must_look = look or not self.is_connected or not skips_locked(using)
            after = self._passed_by(using) if look else FIRST
            if must_look and not waits(using, after):
                return
        while not stopping():
            # Before anything is claimed: while the broker is away, rows need not be touched.
            self._connected()
            with available(using):
                rows = claim(using, BATCH, after)
            if rows:
                after = rows[-1].id
                yield rows
            if len(rows) < BATCH:
                return  # Behind it there is nothing.

    def _passed_by(self, using: str) -> UUID:
        """Return behind which id this look begins."""
        if time.monotonic() < self._next_old[using]:
            return first_event_id(timezone.now() - YOUNG)
        self._next_old[using] = time.monotonic() + OLD_SECONDS
        return FIRST

    def _publish(self, using: str, claims: Iterable[Sequence[EventRow]]) -> int:
        """Publish the `claims` on rows of one database and return how many events that were."""
        self._settle_rest(using)
        published, under_way = 0, self._unsettled[using]
        try:
            for rows in claims:
                under_way.append(_Claimed(using, rows))
                exchange = self._broker.topology.events
                under_way[-1].write(self._connected(), exchange, partial(_keep, under_way))
                if len(under_way) == UNDER_WAY:
                    published += _finish_first(under_way)
            while under_way:
                published += _finish_first(under_way)
        except MessageRefused:
            # One of them is at fault: the others shall not wait for it, nor what is behind them.
            published += sum(map(self._publish_one_by_one, under_way))
            self._next_old[using] = 0.0
        finally:
            if under_way:
                # What else this connection says of confirms can no longer be told apart.
                self.close()
            self._settle_rest(using)
        return published

    def _settle_rest(self, using: str) -> None:
        unsettled = self._unsettled[using]
        while unsettled:
            unsettled[0].settle()
            unsettled.popleft()

    def _publish_one_by_one(self, claimed: "_Claimed") -> int:
        self.close()
        for message in claimed.unconfirmed():
            try:
                publish_all(self._connected(), [message], claimed.confirm, CONFIRM_SECONDS)
            except MessageRefused as error:
                self.close()
                with available(claimed.using):
                    quarantine(claimed.using, message.message_id, message.key, str(error))
        return len(claimed.rows)

    def _connected(self) -> Publisher:
        if self._publisher is None:
            self._publisher = self._broker.publisher()
        return self._publisher


class _Claimed:
    """Events that were claimed together, on their way to the broker."""

    def __init__(self, using: str, rows: Sequence[EventRow]) -> None:
        self.using = using
        self.rows = rows
        self._messages: list[Outgoing] = []
        self._confirmed: set[str] = set()
        self._renew_at = time.monotonic() + RENEW_SECONDS

    def keep(self) -> None:
        """Claim them anew when it is time. Raises Unavailable."""
        if time.monotonic() >= self._renew_at:
            with available(self.using):
                self.rows = renew(self.using, self.rows)
            self._renew_at = time.monotonic() + RENEW_SECONDS

    def write(self, publisher: Publisher, exchange: str, meanwhile: Callable[[], None]) -> None:
        """Publish them, calling `meanwhile` while the broker is waited for. Raises Unavailable."""
        with available(router.db_for_write(ListenerClock)):
            # Later than the commit: whoever listened when these events were committed is counted.
            listeners = ListenerClock.now()
        self._messages = [_outgoing(row, exchange, listeners) for row in self.rows]
        self._batch = Batch(publisher, self._messages, self.confirm, CONFIRM_SECONDS, meanwhile)
        self._batch.write()

    def wait(self) -> None:
        """Return when all are confirmed. Raises Unavailable."""
        self._batch.wait()

    def confirm(self, message: Outgoing) -> None:
        """Note that the broker has `message`."""
        self._confirmed.add(message.message_id)

    def unconfirmed(self) -> list[Outgoing]:
        """Return what the broker may not have."""
        return [one for one in self._messages if one.message_id not in self._confirmed]

    def settle(self) -> int:
        """Mark what is confirmed, let go of the rest, and return how many they are."""
        with available(self.using):
            settle(self.using, self.rows, self._confirmed)
        return len(self.rows)


def _keep(under_way: Iterable[_Claimed]) -> None:
    for claimed in under_way:
        claimed.keep()


def _finish_first(under_way: deque[_Claimed]) -> int:
    """Wait for the first one's confirms, mark it, and return how many events it has."""
    under_way[0].wait()
    count = under_way[0].settle()
    under_way.popleft()
    return count


def _outgoing(row: EventRow, exchange: str, listeners: int) -> Outgoing:
    message = EventMessage(
        id=str(row.id),
        hook=row.hook,
        body=row.body,
        envelope=row.envelope,
        created=row.created_at.timestamp(),
        listeners=listeners,
    )
    return Outgoing(exchange, row.hook, encode(message), message.id)

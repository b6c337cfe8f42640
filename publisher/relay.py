"""From the outbox to the broker: claim rows, publish them confirmed, mark them.

Rows are claimed in a short transaction for LEASE_SECONDS; nothing is locked while the broker is
waited for. What a relay that died had claimed is free again when its lease is over.
"""

import logging
from collections import deque
from collections.abc import Callable, Container, Sequence
from datetime import timedelta

from django.db import connections, router, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from durian.database import available
from durian.errors import MessageRefused, Unavailable
from durian.models import Event, ListenerClock
from durian.outbox import pending
from durian.wire.broker import Broker, Outgoing, Publisher
from durian.wire.messages import EventMessage, encode
from durian.wire.publishing import Batch, publish_all
from durian.wire.wakeup import HasFileno

logger = logging.getLogger("durian.publisher")

BATCH = 500
LEASE_SECONDS = 60
CONFIRM_SECONDS = 20.0
"""Less than the lease, so that a row is not claimed by another relay while it is published."""


class Relay:
    """Publishes what is in the outboxes of `databases`. For one thread."""

    def __init__(self, broker: Broker, databases: Sequence[str]) -> None:
        self._broker = broker
        self._databases = databases
        self._publisher: Publisher | None = None

    def drain(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Publish everything that waits and return how many events that were.

        Returns early, after what is under way, when `stopping` says so. Raises Unavailable when
        the broker or a database is away, once the other databases are done; nothing is lost then.
        """
        published, failures = 0, []
        for using in self._databases:
            try:
                count = BATCH
                # What was refused may have ended it early; behind less than a batch is nothing.
                while count >= BATCH and not stopping():
                    count = self._drain(using, stopping)
                    published += count
            except Unavailable as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return published

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

    def _drain(self, using: str, stopping: Callable[[], bool]) -> int:
        """Publish what waits in one database and return how many events that were.

        Two batches are under way at most: while the broker works at one, the database gives the
        next and marks the one before.
        """
        published, under_way = 0, deque[_Claimed]()
        try:
            while not stopping() and (claimed := self._claim(using)):
                under_way.append(claimed)
                claimed.write(self._connected())
                if len(under_way) == 2:
                    under_way[0].wait()
                    published += under_way.popleft().settle()
                if len(claimed.messages) < BATCH:
                    break  # Behind it there is nothing.
            while under_way:
                under_way[0].wait()
                published += under_way.popleft().settle()
        except MessageRefused:
            # One of them is at fault: the others shall not wait for it.
            published += sum(map(self._publish_one_by_one, under_way))
        finally:
            if under_way:
                # What else this connection says of confirms can no longer be told apart.
                self.close()
            for claimed in under_way:
                claimed.settle()
        return published

    def _claim(self, using: str) -> "_Claimed | None":
        """Claim the next events, if there are any that are free."""
        with available(using):
            # Who has nothing to publish need not connect, and where rows are not locked one by one
            # (SQLite) a claim would take the one write lock at every sweep.
            looks = self._publisher is None or not _skips(using)
            if looks and not free(using).exists():
                return None
        # Before anything is claimed: while the broker is away, rows need not be touched.
        self._connected()
        with available(using):
            events = claim(using, BATCH)
        if not events:
            return None
        home = router.db_for_write(ListenerClock)
        with available(home):
            # Later than the claim: whoever listened when these events were committed is counted.
            listeners = ListenerClock.now()
        return _Claimed(using, events, [self._outgoing(event, listeners) for event in events])

    def _publish_one_by_one(self, claimed: "_Claimed") -> int:
        self.close()
        for message in claimed.unconfirmed():
            try:
                publish_all(self._connected(), [message], claimed.confirm, CONFIRM_SECONDS)
            except MessageRefused as error:
                self.close()
                with available(claimed.using):
                    quarantine(claimed.using, message, str(error))
        return len(claimed.messages)

    def _connected(self) -> Publisher:
        if self._publisher is None:
            self._publisher = self._broker.publisher()
        return self._publisher

    def _outgoing(self, event: Event, listeners: int) -> Outgoing:
        body = encode(_message(event, listeners))
        return Outgoing(self._broker.topology.events, event.hook, body, str(event.id))


class _Claimed:
    """Events that were claimed together, on their way to the broker."""

    def __init__(self, using: str, events: list[Event], messages: list[Outgoing]) -> None:
        self.using = using
        self.messages = messages
        self._events = events
        self._confirmed: set[str] = set()

    def write(self, publisher: Publisher) -> None:
        """Publish them. Raises Unavailable."""
        self._batch = Batch(publisher, self.messages, self.confirm, CONFIRM_SECONDS)
        self._batch.write()

    def wait(self) -> None:
        """Return when all are confirmed. Raises Unavailable."""
        self._batch.wait()

    def confirm(self, message: Outgoing) -> None:
        """Note that the broker has `message`."""
        self._confirmed.add(message.message_id)

    def unconfirmed(self) -> list[Outgoing]:
        """Return what the broker may not have."""
        return [one for one in self.messages if one.message_id not in self._confirmed]

    def settle(self) -> int:
        """Mark what is confirmed, let go of the rest, and return how many they are."""
        with available(self.using):
            settle(self.using, self._events, self._confirmed)
        return len(self._events)


def free(using: str) -> "QuerySet[Event]":
    """Return the waiting events of `using` that no relay has claimed."""
    unclaimed = Q(claimed_until__isnull=True) | Q(claimed_until__lt=timezone.now())
    return pending(using).filter(unclaimed)


def claim(using: str, limit: int) -> list[Event]:
    """Claim and return up to `limit` events that nobody else has claimed, the oldest first."""
    with transaction.atomic(using=using):
        rows = free(using).order_by("id").select_for_update(skip_locked=_skips(using))[:limit]
        events = list(rows)
        until = timezone.now() + timedelta(seconds=LEASE_SECONDS)
        if events:
            _rows(using, events).update(claimed_until=until)
    for event in events:
        event.claimed_until = until
    return events


def settle(using: str, events: list[Event], confirmed: Container[str]) -> None:
    """Mark the `confirmed` ones of `events` as published and let go of the others."""
    published = [event for event in events if str(event.id) in confirmed]
    kept = [event for event in published if event.archive]
    if kept:
        _rows(using, kept).update(published_at=timezone.now(), claimed_until=None)
    if len(kept) < len(published):
        _rows(using, [event for event in published if not event.archive]).delete()
    if len(published) < len(events):
        others = [event for event in events if str(event.id) not in confirmed]
        # Unless the lease has ended meanwhile, and another relay has claimed them since.
        ours = _rows(using, others).filter(claimed_until=others[0].claimed_until)
        ours.update(claimed_until=None)


def quarantine(using: str, message: Outgoing, reason: str) -> None:
    """Set aside an event that cannot be published; the staff pages show it and can release it."""
    logger.error("Event %s of %s is set aside: %s", message.message_id, message.key, reason)
    Event.objects.using(using).filter(pk=message.message_id).update(error=reason)


def _skips(using: str) -> bool:
    return bool(connections[using].features.has_select_for_update_skip_locked)


def _rows(using: str, events: list[Event]) -> "QuerySet[Event]":
    return Event.objects.using(using).filter(pk__in=[event.pk for event in events])


def _message(event: Event, listeners: int) -> EventMessage:
    return EventMessage(
        id=str(event.id),
        hook=event.hook,
        body=event.body,
        envelope=event.envelope,
        created=event.created_at.timestamp(),
        listeners=listeners,
    )

"""From the outbox to the broker: claim rows, publish them confirmed, mark them.

Rows are claimed in a short transaction for LEASE_SECONDS; nothing is locked while the broker is
waited for. What a relay that died had claimed is free again when its lease is over.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta

from django.db import connections, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from durian.database import available
from durian.errors import MessageError, MessageRefused, Unavailable
from durian.models import Event, ListenerClock
from durian.wire.broker import Broker, Outgoing, Publisher
from durian.wire.messages import EventMessage, encode
from durian.wire.publishing import publish_all
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

    def drain(self) -> int:
        """Publish everything that waits and return how many events that were.

        Raises Unavailable when the broker or a database is away; nothing is lost then.
        """
        return sum(self._drain_database(using) for using in self._databases)

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

    def _drain_database(self, using: str) -> int:
        published = 0
        while True:
            with available(using):
                events = claim(using, BATCH)
            if not events:
                return published
            self._publish(using, events)
            published += len(events)

    def _publish(self, using: str, events: list[Event]) -> None:
        try:
            self._publish_batch(using, events)
        except MessageRefused as error:
            if len(events) == 1:
                quarantine(using, events[0], str(error))
                return
            # One of them is at fault: the others shall not wait for it.
            for event in events:
                self._publish(using, [event])

    def _publish_batch(self, using: str, events: list[Event]) -> None:
        with available():
            listeners = ListenerClock.now()
        confirmed: list[str] = []
        messages = self._encoded(using, events, listeners)
        try:
            if self._publisher is None:
                self._publisher = self._broker.publisher()
            publish_all(
                self._publisher,
                messages,
                lambda message: confirmed.append(message.message_id),
                CONFIRM_SECONDS,
            )
        except Unavailable:
            self.close()
            raise
        finally:
            with available(using):
                settle(using, events, confirmed)

    def _encoded(self, using: str, events: list[Event], listeners: int) -> list[Outgoing]:
        messages = []
        for event in events:
            try:
                body = encode(_message(event, listeners))
            except MessageError as error:
                quarantine(using, event, f"The event {error}")
                continue
            exchange = self._broker.topology.events
            messages.append(Outgoing(exchange, event.hook, body, str(event.id)))
        return messages


def pending(using: str) -> "QuerySet[Event]":
    """Return the events that wait in the outbox of `using`, quarantined ones left out."""
    return Event.objects.using(using).filter(published_at__isnull=True, error="")


def claim(using: str, limit: int) -> list[Event]:
    """Claim and return up to `limit` events that nobody else has claimed, the oldest first."""
    now = timezone.now()
    free = pending(using).filter(Q(claimed_until__isnull=True) | Q(claimed_until__lt=now))
    if not free.exists():
        # Without this look SQLite would take its one write lock at every sweep.
        return []
    skips = connections[using].features.has_select_for_update_skip_locked
    with transaction.atomic(using=using):
        rows = free.order_by("id").select_for_update(skip_locked=skips)[:limit]
        events = list(rows)
        until = now + timedelta(seconds=LEASE_SECONDS)
        _rows(using, events).update(claimed_until=until)
    return events


def settle(using: str, events: list[Event], confirmed: Sequence[str]) -> None:
    """Mark the `confirmed` ones of `events` as published and let go of the others."""
    done = set(confirmed)
    published = [event for event in events if str(event.id) in done]
    kept = [event for event in published if event.archive]
    if kept:
        _rows(using, kept).update(published_at=timezone.now(), claimed_until=None)
    if len(kept) < len(published):
        _rows(using, [event for event in published if not event.archive]).delete()
    if len(published) < len(events):
        others = [event for event in events if str(event.id) not in done]
        _rows(using, others).update(claimed_until=None)


def quarantine(using: str, event: Event, reason: str) -> None:
    """Set aside an event that cannot be published; the staff pages show it and can release it."""
    logger.error("Event %s of %s is set aside: %s", event.id, event.hook, reason)
    with available(using):
        _rows(using, [event]).update(error=reason, claimed_until=None)


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

"""The write side of the outbox: bodies become Event rows in the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connections, transaction
from django.db.models import QuerySet
from django.utils import timezone

from durian import ids
from durian.conf import config
from durian.errors import ConfigurationError
from durian.eventrow import EventRow
from durian.insert import insert
from durian.models import Event
from durian.signals import (
    claim_requested,
    dispatch_requested,
    events_committed,
    events_recorded,
)


def pending(using: str) -> "QuerySet[Event]":
    """Return the events that wait in the outbox of `using`, quarantined ones left out."""
    return Event.objects.using(using).filter(published_at__isnull=True, error="")


def record(
    hook: str,
    bodies: Sequence[str],
    *,
    envelope: str,
    archive: bool,
    using: str,
    published: bool = False,
) -> list[EventRow]:
    """Insert an event for each of `bodies`, in the caller's transaction, and return them.

    `using` is the database; `published` keeps the relay away. Raises ConfigurationError for a
    database whose outbox nobody reads, and what `insert` raises.
    """
    _check_read(hook, using)
    now = timezone.now()
    claimed_until = None if published else _claimed_until(len(bodies))
    published_at = now if published else None
    kept = bool(archive)  # PostgreSQL takes no 1 for it.
    rows = [
        EventRow(ids.new_event_id(), hook, body, envelope, kept, now, claimed_until, published_at)
        for body in bodies
    ]
    insert(rows, using)
    if events_recorded.has_listeners(Event):
        events_recorded.send(sender=Event, events=[row.event(using) for row in rows])
    if not published:
        _announce_on_commit(using, rows)
    return rows


def dispatch_on_commit(row: EventRow, using: str, outcomes: list[Any]) -> None:
    """Deliver an event of `using` in this process once its transaction commits; fills `outcomes`.

    One that is not for the archive is deleted then. What goes wrong is logged: the event has
    happened, whoever hears of it.
    """

    def dispatch() -> None:
        try:
            dispatch_requested.send(sender=Event, event=row.event(using), outcomes=outcomes)
        finally:
            if not row.archive:
                Event.objects.using(using).filter(pk=row.id).delete()

    transaction.on_commit(dispatch, using=using, robust=True)


def _check_read(hook: str, using: str) -> None:
    if using not in config().outbox_databases:
        raise ConfigurationError(
            f"An event of {hook!r} goes to the database {using!r}, which no relay reads: "
            "add it to DURIAN['OUTBOX_DATABASES']."
        )


def _claimed_until(count: int) -> datetime | None:
    answers: list[tuple[Any, Any]] = claim_requested.send(sender=Event, count=count)
    return next((until for _, until in answers if until), None)


def _announce_on_commit(using: str, rows: list[EventRow]) -> None:
    def announce() -> None:
        # Django's test cases can run this within a transaction that they will roll back.
        committed = [] if connections[using].in_atomic_block else rows
        events_committed.send(sender=Event, using=using, rows=committed)

    # Robust: the events are safe by now, whatever keeps the relay from starting. A function, since
    # Django names what failed, and a `partial` has no name.
    transaction.on_commit(announce, using=using, robust=True)

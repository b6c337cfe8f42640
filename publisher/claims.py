"""Rows of the outbox: claimed in a short transaction, marked or let go of after that."""

import logging
from collections.abc import Container, Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from django.db import connections, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from durian.eventrow import EventRow
from durian.models import Event
from durian.outbox import pending

logger = logging.getLogger("durian.publisher")

LEASE_SECONDS = 60
FIRST = UUID(int=0)


def free(using: str) -> "QuerySet[Event]":
    """Return the waiting events of `using` that no relay has claimed."""
    unclaimed = Q(claimed_until__isnull=True) | Q(claimed_until__lt=timezone.now())
    return pending(using).filter(unclaimed)


def waits(using: str, after: UUID = FIRST) -> bool:
    """Say whether `free` has an event of an id behind `after`.

    By a plain statement, since every process that publishes asks so several times a second while
    nothing happens. Ordered: while statistics are old, the database might read the whole table
    instead of the index.
    """
    connection, meta = connections[using], Event._meta
    now = meta.get_field("claimed_until").get_db_prep_value(timezone.now(), connection)
    statement = (
        f"SELECT 1 FROM {meta.db_table} WHERE published_at IS NULL AND error = ''"  # noqa: S608
        " AND (claimed_until IS NULL OR claimed_until < %s) AND id > %s ORDER BY id LIMIT 1"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [now, meta.pk.get_db_prep_value(after, connection)])
        return cursor.fetchone() is not None


def claim(using: str, limit: int, after: UUID = FIRST) -> list[EventRow]:
    """Claim and return up to `limit` events that nobody else has claimed, the oldest first.

    Those of ids up to `after` are passed by, with all that is left of them in the index when they
    have been published.
    """
    until = timezone.now() + timedelta(seconds=LEASE_SECONDS)
    waiting = free(using).filter(id__gt=after).order_by("id")
    with transaction.atomic(using=using):
        waiting = waiting.select_for_update(skip_locked=skips_locked(using))
        found = waiting.values_list(*EventRow._fields)[:limit]
        rows = [EventRow._make(values)._replace(claimed_until=until) for values in found]
        if rows:
            _events(using, rows).update(claimed_until=until)
    return rows


def renew(using: str, rows: Sequence[EventRow]) -> list[EventRow]:
    """Claim `rows` for longer, unless another relay has claimed them since, and return them."""
    until = timezone.now() + timedelta(seconds=LEASE_SECONDS)
    _ours(using, rows).update(claimed_until=until)
    return [row._replace(claimed_until=until) for row in rows]


def settle(using: str, rows: Sequence[EventRow], confirmed: Container[str]) -> None:
    """Mark the `confirmed` ones of `rows` as published and let go of the others."""
    published = [row for row in rows if str(row.id) in confirmed]
    kept = [row for row in published if row.archive]
    if kept:
        _archive(using, kept)
    if len(kept) < len(published):
        _events(using, [row for row in published if not row.archive]).delete()
    if len(published) < len(rows):
        let_go(using, [row for row in rows if str(row.id) not in confirmed])


def _archive(using: str, rows: Sequence[EventRow]) -> None:
    """Mark `rows` as published.

    By a plain statement, since a site's process does this dozens of times a second: for Django to
    write it takes twice as long as to execute it.
    """
    connection, meta = connections[using], Event._meta
    moment = meta.get_field("published_at").get_db_prep_save(timezone.now(), connection)
    ids = [meta.pk.get_db_prep_save(row.id, connection) for row in rows]
    changes = "published_at = %s, claimed_until = NULL"
    places = ", ".join(["%s"] * len(ids))
    statement = f"UPDATE {meta.db_table} SET {changes} WHERE id IN ({places})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, [moment, *ids])


def let_go(using: str, rows: Sequence[EventRow]) -> None:
    """Give `rows` back to whoever claims them next."""
    _ours(using, rows).update(claimed_until=None)


def quarantine(using: str, event: str, hook: str, reason: str) -> None:
    """Set aside an event that cannot be published; the staff pages show it and can release it."""
    logger.error("Event %s of %s is set aside: %s", event, hook, reason)
    Event.objects.using(using).filter(pk=event).update(error=reason)


def skips_locked(using: str) -> bool:
    """Say whether rows of `using` are locked one by one, and others can pass them by."""
    return bool(connections[using].features.has_select_for_update_skip_locked)


def _ours(using: str, rows: Sequence[EventRow]) -> "QuerySet[Event]":
    # Unless the lease has ended meanwhile, and another relay has claimed them since.
    return _events(using, rows).filter(claimed_until__in={row.claimed_until for row in rows})


def _events(using: str, rows: Iterable[EventRow]) -> "QuerySet[Event]":
    return Event.objects.using(using).filter(pk__in=[row.id for row in rows])

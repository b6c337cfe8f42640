"""The archive: the events that were published, in the order of time, and who has received them."""

import heapq
import uuid
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import groupby, islice
from operator import attrgetter

from django.db import router
from django.db.models import QuerySet

from durian import conf
from durian.database import available
from durian.errors import Unavailable
from durian.ids import first_event_id, first_event_id_after
from durian.models import Attempt, Event

CHUNK = 500


def chunks(
    since: datetime, until: datetime, hooks: Collection[str] | None
) -> Iterator[list[Event]]:
    """Yield the events raised from `since` to `until`, of all databases, up to CHUNK at a time.

    Only those of `hooks`, unless that is None; in the order of time. Raises Unavailable.
    """
    by_id, databases = attrgetter("id"), conf.config().outbox_databases
    merged = heapq.merge(*(_events(one, since, until, hooks) for one in databases), key=by_id)
    # Where two databases of the site are one, by another name, each event comes twice.
    events = (next(same) for _, same in groupby(merged, key=by_id))
    while chunk := list(islice(events, CHUNK)):
        yield chunk


def _events(
    using: str, since: datetime, until: datetime, hooks: Collection[str] | None
) -> Iterator[Event]:
    events = Event.objects.using(using).filter(
        id__gte=first_event_id(since),
        id__lt=first_event_id_after(until),
        published_at__isnull=False,
    )
    rest = events = (events if hooks is None else events.filter(hook__in=hooks)).order_by("id")
    # By key and not by a cursor: a replay may take hours, and no transaction shall.
    while True:
        chunk = _read(rest[:CHUNK])
        if not chunk:
            return
        yield from chunk
        rest = events.filter(id__gt=chunk[-1].id)


def _read(events: "QuerySet[Event]") -> list[Event]:
    try:
        with available(events.db):
            return list(events)
    except Unavailable:
        # While another database had more to send, somebody may have closed the connection.
        with available(events.db):
            return list(events.all())


def delivered(
    events: Collection[Event], listeners: Collection[int] | None
) -> set[tuple[uuid.UUID, int]]:
    """Return which of `events` the log shows as delivered, each with the listener.

    To `listeners`, or with None to any. All of it is in memory. Raises Unavailable.
    """
    home = router.db_for_write(Attempt)
    rows = Attempt.objects.using(home).filter(
        event__in=[event.id for event in events], outcome=Attempt.Outcome.DELIVERED
    )
    if listeners is not None:
        rows = rows.filter(listener_id__in=listeners)
    with available(home):
        return set(rows.values_list("event", "listener_id"))

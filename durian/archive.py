"""The archive: the events that were published, in the order of time, and who has received them."""

import uuid
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from django.db import router
from django.db.models import QuerySet

from durian import conf
from durian.database import available
from durian.ids import first_event_id
from durian.models import Attempt, Event

CHUNK = 500
MILLISECOND = timedelta(milliseconds=1)
"""How exactly an event's id says when it was raised."""


def chunks(
    since: datetime, until: datetime, hooks: Collection[str] | None
) -> Iterator[list[Event]]:
    """Yield the events raised from `since` to `until`, of all databases, up to CHUNK at a time.

    Only those of `hooks`, unless that is None. Raises Unavailable.
    """
    for using in conf.config().outbox_databases:
        events = Event.objects.using(using).filter(
            id__gte=first_event_id(since),
            id__lt=first_event_id(until + MILLISECOND),
            published_at__isnull=False,
        )
        yield from _chunks(events if hooks is None else events.filter(hook__in=hooks))


def _chunks(events: "QuerySet[Event]") -> Iterator[list[Event]]:
    # By key and not by a cursor: a replay may take hours, and no transaction shall.
    last: uuid.UUID | None = None
    while True:
        rest = events.order_by("id") if last is None else events.filter(id__gt=last).order_by("id")
        with available(events.db):
            chunk = list(rest[:CHUNK])
        if not chunk:
            return
        yield chunk
        last = chunk[-1].id


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

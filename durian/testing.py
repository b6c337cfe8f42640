"""For the tests of a site: see what was raised, and deliver it, without a thread or a broker."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.test.utils import override_settings

from durian import roles
from durian.models import Attempt, Event
from durian.signals import events_recorded


@contextmanager
def capture_events() -> Iterator[list[Event]]:
    """Give a list that fills with the events raised in the block: `.hook`, `.payload`, `.id`.

    Works within a transaction that is never committed, as in django.test.TestCase, and starts no
    relay where one is. At the end of the block the list loses the events of transactions, or
    savepoints, that were rolled back: they are never sent.
    """
    captured: list[Event] = []

    def keep(events: list[Event], **_: Any) -> None:
        captured.extend(events)

    events_recorded.connect(keep, weak=False)
    try:
        with override_settings(DURIAN=getattr(settings, "DURIAN", {}) | {"RELAY": "off"}):
            yield captured
    finally:
        events_recorded.disconnect(keep)
    captured[:] = [event for event in captured if _was_kept(event)]


def _was_kept(event: Event) -> bool:
    return Event.objects.using(event._state.db).filter(pk=event.pk).exists()


def deliver(events: Iterable[Event]) -> list[Attempt]:
    """POST `events` to the listeners that want them, now and in this thread; return the attempts.

    One attempt each: `.outcome` is "delivered" or "dead", `.status` and `.error` say why. The
    guard is in force: a test's receiver on 127.0.0.1 wants DURIAN["ALLOW_NETWORKS"].
    """
    return [attempt for event in events for attempt in roles.dispatch(event)]

"""`durian replay`: send events of the archive again, or for the first time to a new listener."""

import uuid
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import islice
from typing import Any

from django.db import router
from django.db.models import QuerySet
from django.utils import timezone

from durian import conf, match, roles
from durian.audience import has_own_filter
from durian.cli.arguments import moment
from durian.cli.brokers import refuse_embedded
from durian.cli.output import Report, complain, console, print_json, progress
from durian.database import available
from durian.errors import InvalidFilter, MessageRefused
from durian.ids import first_event_id
from durian.matcher import delivery_of, outgoing
from durian.models import Attempt, Event, Listener
from durian.names import fits, is_pattern
from durian.registry import hooks
from durian.wire.broker import Outgoing
from durian.wire.messages import DeliveryMessage
from durian.wire.publishing import publish_all

HELP = "send events of the archive again to listeners"
CHUNK = 500
MILLISECOND = timedelta(milliseconds=1)
"""How exactly an event's id says when it was raised."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `durian replay`."""
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--listener", type=int, action="append", metavar="N", help="may be repeated")
    whom.add_argument("--all", action="store_true", help="every active listener")
    time_help = "ISO 8601 (2026-05-01T12:00Z) or an age (2h)"
    parser.add_argument("--since", type=moment, required=True, metavar="T", help=time_help)
    parser.add_argument("--until", type=moment, metavar="T", help=f"{time_help}; default: now")
    parser.add_argument(
        "--failed",
        action="store_true",
        help="only events that the log does not show as delivered to the listener; what waits "
        "for its next attempt is among them",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say how many are meant")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    parser.epilog = "The webhook-id is that of the first time, so that receivers see a repeat."


def run(options: dict[str, Any]) -> int:
    """Return 0, or 1 when a listener is not there, not active, or gets less than was meant.

    Raises as `refuse_embedded` does, and Unavailable; what was done until then is said.
    """
    refuse_embedded()
    listeners = _listeners(options)
    missing = sorted(set(options["listener"] or ()) - {listener.pk for listener in listeners})
    if missing:
        complain(f"No active listener: {', '.join(map(str, missing))}.")
        return 1
    counts: dict[int, int] = {}
    try:
        complete = [_replay(listener, options, counts) for listener in listeners]
    finally:
        if options["json"]:
            print_json({"replayed": counts})
    return int(not all(complete))


def _listeners(options: dict[str, Any]) -> list[Listener]:
    home = router.db_for_write(Listener)
    active = Listener.objects.using(home).active()
    with available(home):
        return list(active if options["all"] else active.filter(pk__in=options["listener"]))


def _replay(listener: Listener, options: dict[str, Any], counts: dict[int, int]) -> bool:
    """Replay to `listener`, say how many events that were, and return whether it got all."""
    sending = _Sending(options["dry_run"])
    try:
        with progress(f"listener {listener.pk}") as report:
            sending.send_all(_deliveries(listener, options), report)
    except InvalidFilter as error:
        complain(f"listener {listener.pk}: its filter is invalid: {error}")
        return False
    finally:
        counts[listener.pk] = sending.count
        if not options["json"]:
            done = "would be replayed" if options["dry_run"] else "replayed"
            console().print(f"listener {listener.pk}: {sending.count} events {done}.")
    return not sending.refused


class _Sending:
    """Publishes deliveries, or only counts them.

    One that the broker will not take at any time, as for its size, is named; the others go on.
    """

    def __init__(self, dry_run: bool) -> None:
        self.count = 0
        self.refused = 0
        self._dry_run = dry_run

    def send_all(self, deliveries: Iterator[DeliveryMessage], report: Report) -> None:
        """Publish `deliveries`. Raises Unavailable."""
        while batch := list(islice(deliveries, CHUNK)):
            if self._dry_run:
                self.count += len(batch)
            else:
                self._send(batch)
            report(self.count, None)

    def _send(self, batch: list[DeliveryMessage]) -> None:
        waiting = {one.id: one for one in batch}

        def confirmed(message: Outgoing) -> None:
            del waiting[message.message_id]
            self.count += 1

        broker = roles.broker()
        messages = [outgoing(broker.topology, one) for one in batch]
        try:
            # A connection for each: to find the next ones may take longer than it would last.
            with closing(broker.publisher()) as publisher:
                publish_all(publisher, messages, confirmed)
        except MessageRefused as error:
            self._single_out(list(waiting.values()), error)

    def _single_out(self, suspects: list[DeliveryMessage], error: MessageRefused) -> None:
        """Send the others of `suspects`: the broker does not say which of them is at fault."""
        if len(suspects) == 1:
            self.refused += 1
            complain(f"event {suspects[0].event} was not replayed: {error}")
            return
        middle = len(suspects) // 2
        self._send(suspects[:middle])
        self._send(suspects[middle:])


def _deliveries(listener: Listener, options: dict[str, Any]) -> Iterator[DeliveryMessage]:
    run, wanted = str(uuid.uuid4()), match.parse(listener.match)
    for using in conf.config().outbox_databases:
        for chunk in _chunks(_archived(listener, using, options)):
            delivered = _delivered(listener, chunk) if options["failed"] else set()
            for event in chunk:
                if is_pattern(listener.hook) and not fits(listener.hook, event.hook):
                    continue
                if event.id not in delivered and _passes(event, listener, wanted):
                    yield delivery_of(event, listener.pk, run)


def _passes(event: Event, listener: Listener, wanted: match.Filter) -> bool:
    hook = hooks.get(event.hook)
    if hook and has_own_filter(hook):
        return hook.event_filter(None, event.payload, listener.match)
    return wanted.matches(event.payload)


def _archived(listener: Listener, using: str, options: dict[str, Any]) -> "QuerySet[Event]":
    events = Event.objects.using(using).filter(
        id__gte=first_event_id(options["since"]),
        id__lt=first_event_id((options["until"] or timezone.now()) + MILLISECOND),
        published_at__isnull=False,
    )
    return events if is_pattern(listener.hook) else events.filter(hook=listener.hook)


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


def _delivered(listener: Listener, events: list[Event]) -> set[uuid.UUID]:
    home = router.db_for_write(Attempt)
    rows = Attempt.objects.using(home).filter(
        listener_id=listener.pk,
        event__in=[event.id for event in events],
        outcome=Attempt.Outcome.DELIVERED,
    )
    with available(home):
        return set(rows.values_list("event", flat=True))

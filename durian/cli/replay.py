"""`durian replay`: send events of the archive again, or for the first time to a new listener."""

import uuid
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import router
from django.utils import timezone

from durian import archive, match, roles
from durian.audience import Audience
from durian.cli.arguments import listener_number, moment
from durian.cli.brokers import refuse_embedded
from durian.cli.output import Report, complain, console, print_json, progress
from durian.database import available
from durian.errors import InvalidFilter, MessageRefused, Unavailable
from durian.ids import raised_at
from durian.matcher import delivery_of, outgoing
from durian.models import Event, Listener
from durian.names import is_pattern
from durian.wire.broker import Outgoing
from durian.wire.messages import DeliveryMessage
from durian.wire.publishing import publish_all

HELP = "send events of the archive again to listeners"
BATCH = 500
PAIRS = 100_000
"""Of how many events and listeners, as pairs, the log is asked at once."""
NAMED = 10


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `durian replay`."""
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument(
        "--listener", type=listener_number, action="append", metavar="N", help="may be repeated"
    )
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
        complain(f"No active listener: {_states(missing)}. Resume who is to be sent something.")
        return 1
    replay = _Replay(listeners, options)
    try:
        with progress("deliveries") as report:
            replay.run(report)
    finally:
        _say(replay, options)
    return int(replay.left_out)


def _listeners(options: dict[str, Any]) -> list[Listener]:
    home = router.db_for_write(Listener)
    active = Listener.objects.using(home).active()
    with available(home):
        some = active if options["all"] else active.filter(pk__in=options["listener"])
        return list(some.only("hook", "match").order_by("pk"))


def _states(listeners: Sequence[int]) -> str:
    home = router.db_for_write(Listener)
    with available(home):
        found = Listener.objects.using(home).filter(pk__in=listeners)
        states = dict(found.values_list("pk", "state"))
    return ", ".join(f"{one} ({states.get(one, 'there is none')})" for one in listeners)


def _say(replay: "_Replay", options: dict[str, Any]) -> None:
    go_on = replay.go_on()
    if go_on:
        complain(f"That is not all. To go on: --since {go_on['since']} --until {go_on['until']}")
    if options["json"]:
        print_json({"replayed": replay.counts, "go_on": go_on})
        return
    done = "would be replayed" if options["dry_run"] else "replayed"
    for listener, count in replay.counts.items():
        console().print(f"listener {listener}: {count} events {done}.")


class _Replay:
    """Goes through the archive once, for all of `listeners`, as a matcher goes through events.

    What cannot be replayed is named, and the rest goes on.
    """

    def __init__(self, listeners: Sequence[Listener], options: dict[str, Any]) -> None:
        self.counts = {listener.pk: 0 for listener in listeners}
        self.left_out = False
        self._options = options
        self._reached: datetime = options["since"]
        """When the last event was raised that was sent."""
        self._until: datetime = options["until"] or timezone.now()
        self._done: bool = options["dry_run"]
        self._audience = Audience(self._leave_out_some)
        self._event: Event
        self._hooks = {listener.hook for listener in listeners}
        self._runs = defaultdict[int, str](lambda: str(uuid.uuid4()))
        for listener in listeners:
            self._take(listener)

    def _take(self, listener: Listener) -> None:
        try:
            wanted = match.parse(listener.match)
            self._audience.put(listener.pk, listener.hook, wanted, listener.match)
        except InvalidFilter as error:
            self._leave_out(f"listener {listener.pk}: its filter is invalid: {error}")

    def _leave_out(self, why: str) -> None:
        self.left_out = True
        complain(why)

    def run(self, report: Report) -> None:
        """Publish the deliveries, or only count them. Raises Unavailable."""
        deliveries = self._deliveries()
        while batch := list(islice(deliveries, BATCH)):
            if self._options["dry_run"]:
                for one in batch:
                    self.counts[one.listener] += 1
            else:
                self._send(batch)
                self._reached = raised_at(uuid.UUID(batch[-1].event))
            report(sum(self.counts.values()), None)
        self._done = True

    def go_on(self) -> dict[str, str] | None:
        """Return from when until when there is more to send, None when all was."""
        if self._done:
            return None
        moments = {"since": self._reached, "until": self._until}
        return {name: one.isoformat(timespec="milliseconds") for name, one in moments.items()}

    def _deliveries(self) -> Iterator[DeliveryMessage]:
        hooks = None if any(map(is_pattern, self._hooks)) else self._hooks
        for chunk in archive.chunks(self._options["since"], self._until, hooks):
            events = [event for event in chunk if self._audience.listens_to(event.hook)]
            many = max(PAIRS // max(len(self.counts), 1), 1)
            for start in range(0, len(events), many):
                yield from self._deliveries_of(events[start : start + many])

    def _deliveries_of(self, events: Sequence[Event]) -> Iterator[DeliveryMessage]:
        done = set[tuple[uuid.UUID, int]]()
        if self._options["failed"]:
            done = archive.delivered(events, self._options["listener"])
        for event in events:
            for listener in self._matching(event):
                if (event.id, listener) not in done:
                    yield delivery_of(event, listener, self._runs[listener])

    def _matching(self, event: Event) -> list[int]:
        self._event = event
        try:
            return sorted(self._audience.matching(event.hook, event.payload))
        except Unavailable:
            raise
        except Exception as error:
            # A hook's own filter may raise anything.
            self._leave_out(_not_replayed(event.id, f"to anybody: {type(error).__name__}: {error}"))
            return []

    def _leave_out_some(self, hook: str, failed: Sequence[int], error: Exception) -> None:
        names = ", ".join(map(str, failed[:NAMED])) + " …" * (len(failed) > NAMED)
        why = f"to listener {names}: {type(error).__name__}: {error}"
        self._leave_out(_not_replayed(self._event.id, why))

    def _send(self, batch: list[DeliveryMessage]) -> None:
        waiting = {one.id: one for one in batch}

        def confirmed(message: Outgoing) -> None:
            self.counts[waiting.pop(message.message_id).listener] += 1

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
            self._leave_out(
                _not_replayed(suspects[0].event, f"to listener {suspects[0].listener}: {error}")
            )
            return
        middle = len(suspects) // 2
        self._send(suspects[:middle])
        self._send(suspects[middle:])


def _not_replayed(event: object, why: str) -> str:
    return f"event {event} was not replayed {why}"

"""From an event to its deliveries: one for each listener that wants it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from durian.body import decode_payload
from durian.ids import delivery_id
from durian.models import Event
from durian.wire.broker import Incoming, Outgoing
from durian.wire.messages import (
    DeliveryMessage,
    EventMessage,
    decode,
    encode,
    listeners_seen,
)
from durian.wire.outcome import Answer, Done, Outcome
from durian.wire.topology import Topology

Take = Callable[[Outgoing, Done], None]
"""Takes a message to publish, and what to call when that is done."""


class Matching(Protocol):
    """What the matcher asks: durian.listeners.Listeners, or a test's own."""

    def is_behind(self, version: int) -> bool:
        """Say whether changes of listeners up to `version` are not known yet."""
        ...

    def catch_up(self, version: int) -> None:
        """Read every change of a listener up to `version`."""
        ...

    def matching(self, hook: str, payload: object) -> list[int]:
        """Return the ids of the listeners that want the event."""
        ...


class Matcher:
    """The pump's handler of events, and their reader.

    `feed` takes each event for the public exchange as well.
    """

    def __init__(self, listeners: Matching, topology: Topology, feed: Take | None = None) -> None:
        self._listeners = listeners
        self._topology = topology
        self._feed = feed

    def wants(self, incoming: Incoming) -> bool:
        """Say whether the event was raised after a change of listeners that is not known yet."""
        return self._listeners.is_behind(listeners_seen(incoming.body))

    def read(self, batch: Sequence[Incoming]) -> None:
        """Read the changes that any event of `batch` was raised after. Raises Unavailable."""
        # The largest of all may be beyond what a restored database has seen, and believed to be.
        versions = {listeners_seen(one.body) for one in batch}
        behind = [version for version in versions if self._listeners.is_behind(version)]
        if behind:
            self._listeners.catch_up(max(behind))

    def can_do_without(self, incoming: Incoming) -> bool:
        """Return False: who has subscribed since would miss the event."""
        return False

    def __call__(self, incoming: Incoming, answer: Answer) -> None:
        """Answer with the deliveries of the event.

        Raises MessageError, and Unavailable when a hook's own filter asks a database that is away.
        """
        event = decode(EventMessage, incoming.body)
        payload = decode_payload(event.body, event.envelope)
        found = self._listeners.matching(event.hook, payload)
        messages = _Deliveries(event, found, self._topology)
        # After its own confirms: other people's queues come second.
        feed = partial(self._feed, self._for_everybody(event)) if self._feed else None
        answer(Outcome(publish=messages, record=feed))

    def _for_everybody(self, event: EventMessage) -> Outgoing:
        return Outgoing(
            self._topology.public, event.hook, event.body.encode(), event.id, mandatory=False
        )


class _Deliveries:
    """The messages of an event's deliveries, each made when it is sent: each has the whole body."""

    def __init__(self, event: EventMessage, listeners: Sequence[int], topology: Topology) -> None:
        self._event = event
        self._listeners = listeners
        self._topology = topology

    def __len__(self) -> int:
        return len(self._listeners)

    def __iter__(self) -> Iterator[Outgoing]:
        event, topology = self._event, self._topology
        to = partial(
            DeliveryMessage,
            event=event.id,
            hook=event.hook,
            body=event.body,
            created=event.created,
        )
        for listener in self._listeners:
            delivery = to(id=delivery_id(event.id, listener), listener=listener)
            yield outgoing(topology, delivery)


def delivery_of(event: Event, listener: int, run: str = "") -> DeliveryMessage:
    """Return the delivery of an archived event to `listener`; `run` names the chain of attempts."""
    return DeliveryMessage(
        id=delivery_id(str(event.id), listener),
        event=str(event.id),
        hook=event.hook,
        listener=listener,
        body=event.body,
        created=event.created_at.timestamp(),
        run=run,
    )


def outgoing(topology: Topology, delivery: DeliveryMessage) -> Outgoing:
    """Return `delivery` as a message for the deliverers."""
    return Outgoing("", topology.deliver, encode(delivery), delivery.id)

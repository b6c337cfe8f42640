"""RabbitMQ, through kombu's connections and py-amqp's channels.

Confirms are matched by tag here and not by kombu's `confirm_publish`, which matches them by
arrival, one at a time.
"""

import logging
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

import amqp
from amqp.exceptions import FrameSyntaxError, NotFound, PreconditionFailed
from kombu import Connection

from durian.errors import ConfigurationError, MessageRefused, TopologyError, Unavailable
from durian.wire.acks import Ack, Acks
from durian.wire.broker import Confirmed, Incoming, OnMessage, Outgoing, QueueState, Refused
from durian.wire.link import DECLARE, Link, as_unavailable
from durian.wire.topology import Topology

logger = logging.getLogger("durian.wire")

ACK_SECONDS = 60.0
"""How long the broker may take for the last acks: among many unacked ones, each is slow to find."""
COMPLAINT_SECONDS = 60.0
"""How often a foreign queue's refusals are logged: there may be one for each event."""


class RabbitMQ:
    """A RabbitMQ, or a cluster: `url` may name several nodes, separated by semicolons."""

    def __init__(self, url: str, topology: Topology) -> None:
        self.topology = topology
        self._urls = url.split(";")
        _check(self._urls)

    def publisher(self) -> "RabbitPublisher":
        """Connect and return a publisher. Raises Unavailable."""
        with self._link() as link:
            return RabbitPublisher(link)

    def consumer(
        self, queue: str, prefetch: int, on_message: OnMessage, width: int = 1
    ) -> "RabbitConsumer":
        """Connect and consume `queue`. Raises Unavailable, TopologyError if there is no queue."""
        with self._link() as link:
            return RabbitConsumer(link, queue, prefetch, on_message, width)

    def declare(self, public: bool) -> None:
        """Make the exchanges and queues that are missing; `public` asks for the public exchange.

        Raises TopologyError when one is there with other arguments.
        """
        names = self.topology
        with self._link() as link, closing(link), _as_topology_error():
            for exchange in names.exchanges(public):
                link.channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
            for queue in names.queues():
                link.channel.queue_declare(
                    queue.name, durable=True, auto_delete=False, arguments=queue.arguments
                )
            link.channel.queue_bind(names.match, names.events, "#")

    def missing_exchanges(self, public: bool) -> list[str]:
        """Return the exchanges that are not there. Raises Unavailable."""
        with self._link() as link, closing(link):
            return [
                name
                for name in self.topology.exchanges(public)
                if not _has_exchange(link.channel, name)
            ]

    def states(self) -> list[QueueState]:
        """Return every queue as it is now, in the topology's order. Raises Unavailable."""
        with self._link() as link, closing(link):
            return [_state(link.channel, queue.name) for queue in self.topology.queues()]

    @contextmanager
    def _link(self) -> Iterator[Link]:
        link = Link(self._urls)
        try:
            with as_unavailable():
                yield link
        except Unavailable:
            link.close()
            raise


class RabbitPublisher:
    """Publishes with pipelined confirms and the mandatory flag."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._published = 0
        self._pending: dict[int, _Pending] = {}
        self._settled: list[Callable[[], None]] = []
        self._next_complaint = 0.0
        link.channel.confirm_select()
        link.channel.events["basic_ack"].add(self._on_ack)
        link.channel.events["basic_nack"].add(self._on_nack)
        link.channel.events["basic_return"].add(self._on_return)

    def fileno(self) -> int:
        """Return the socket."""
        return self._link.fileno()

    def publish(self, message: Outgoing, confirmed: Confirmed, refused: Refused) -> None:
        """Write `message`; a later `read` calls either `confirmed`, or `refused` with the reason.

        Raises Unavailable, MessageRefused for what AMQP cannot carry.
        """
        self._published += 1
        self._pending[self._published] = _Pending(message, confirmed, refused)
        with self._link.talking():
            try:
                # A message that comes back as unroutable is known by its number.
                self._link.publish(message, self._published)
            except (FrameSyntaxError, ValueError, struct.error) as error:
                raise MessageRefused(f"AMQP cannot carry the message: {error}") from error

    def flush(self) -> None:
        """Send what was written. Raises Unavailable."""
        with self._link.talking():
            self._link.flush()

    def read(self) -> None:
        """Call what was confirmed or refused.

        Raises Unavailable when the connection is lost, MessageRefused when the broker closed the
        channel because of a message, such as for its size.
        """
        try:
            with self._link.talking():
                self._link.read()
        except Unavailable as error:
            if isinstance(error.__cause__, PreconditionFailed):
                raise MessageRefused(error.__cause__.reply_text) from error
            raise
        finally:
            settled, self._settled = self._settled, []
            for call in settled:
                call()

    @property
    def blocked(self) -> bool:
        """Whether the broker has an alarm and takes no messages."""
        return self._link.blocked

    @property
    def pending(self) -> int:
        """How many messages are neither confirmed nor refused yet."""
        return len(self._pending) + len(self._settled)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for pending in self._answered(tag, multiple):
            if pending.returned:
                self._settled.append(partial(pending.refused, pending.returned))
            else:
                self._settled.append(pending.confirmed)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        for pending in self._answered(tag, multiple):
            if pending.message.mandatory:
                error = Unavailable(f"A queue refused what is sent to {_target(pending.message)}.")
                self._settled.append(partial(pending.refused, error))
            else:
                self._settled.append(pending.confirmed)
                self._complain()

    def _on_return(self, error: Exception, exchange: str, key: str, content: Any) -> None:
        # Its ack follows.
        pending = self._pending[int(content.properties["correlation_id"])]
        target = _target(pending.message)
        pending.returned = TopologyError(f"No queue takes what is sent to {target}. {DECLARE}")

    def _answered(self, tag: int, multiple: bool) -> list["_Pending"]:
        # Tags rise, and the dict keeps their order.
        tags = list(takewhile(lambda one: one <= tag, self._pending)) if multiple else [tag]
        return [self._pending.pop(one) for one in tags]

    def _complain(self) -> None:
        if time.monotonic() >= self._next_complaint:
            self._next_complaint = time.monotonic() + COMPLAINT_SECONDS
            logger.warning("A queue that is not durian's refuses events; it does not get them.")


@dataclass
class _Pending:
    message: Outgoing
    confirmed: Confirmed
    refused: Refused
    returned: TopologyError | None = None


class RabbitConsumer:
    """Consumes one queue."""

    def __init__(
        self, link: Link, queue: str, prefetch: int, on_message: OnMessage, width: int
    ) -> None:
        self._link = link
        self._queue = queue
        self._on_message = on_message
        self._arrived: deque[Incoming] = deque()
        self._deleted = False
        self._acks = Acks(prefetch * width)
        self._acked = False
        channel = link.channel
        link.deliver_to(self._on_delivery)
        # Per consumer: quorum queues refuse the form that counts for the whole channel.
        channel.basic_qos(0, prefetch, a_global=False)
        self._tags = [channel.basic_consume(queue, on_cancel=self._on_cancel) for _ in range(width)]

    def fileno(self) -> int:
        """Return the socket."""
        return self._link.fileno()

    def read(self) -> None:
        """Hand over what has arrived. Raises Unavailable, TopologyError if the queue is gone."""
        with self._link.talking():
            self._write_acks()
            self._link.read()
        if self._deleted:
            raise TopologyError(f"Queue {self._queue!r} was deleted. {DECLARE}")
        while self._arrived:
            self._on_message(self._arrived.popleft())

    def ack(self, tag: int, hold: bool = False) -> None:
        """Ack one message, by the next `flush` or `read`, or a little later with `hold`."""
        self._acks.add(tag, time.monotonic(), hold)
        self._acked = True

    def flush(self) -> None:
        """Send the acks that are due. Raises Unavailable."""
        with self._link.talking():
            self._write_acks()
            self._link.flush()

    def consumers(self) -> int:
        """Return how many consumers the queue has, this one among them. Raises Unavailable."""
        with self._link.talking():
            found = self._link.channel.queue_declare(self._queue, passive=True)
        return int(found.consumer_count)

    def cancel(self) -> None:
        """Take no more messages. Raises Unavailable."""
        with self._link.talking():
            for tag in self._tags:
                self._link.channel.basic_cancel(tag)

    def close(self) -> None:
        """Close the connection; the broker gives what was not acked to others."""
        if self._acked and not self._link.lost:
            self._await_acks()
        self._link.close()

    def _await_acks(self) -> None:
        # A channel that ends forgets the acks that it has not passed on to its queue. The queue
        # answers a cancel itself, after what came before it.
        with suppress(Unavailable), self._link.patience(ACK_SECONDS):
            with self._link.talking():
                self._write(self._acks.rest())
            self.cancel()

    def _write_acks(self) -> None:
        self._write(self._acks.due(time.monotonic()))

    def _write(self, acks: Iterable[Ack]) -> None:
        for ack in acks:
            self._link.ack(ack)

    def _on_delivery(
        self, tag: int, redelivered: bool, properties: Mapping[str, Any], body: bytes
    ) -> None:
        self._acks.arrived(tag)
        self._arrived.append(
            Incoming(
                tag=tag,
                body=body,
                headers=properties.get("application_headers") or {},
                redelivered=redelivered,
                queue=self._queue,
                message_id=properties.get("message_id", ""),
            )
        )

    def _on_cancel(self, consumer_tag: str) -> None:
        self._deleted = True


def _target(message: Outgoing) -> str:
    return f"exchange {message.exchange!r}" if message.exchange else f"queue {message.key!r}"


def _check(urls: list[str]) -> None:
    try:
        for url in urls:
            Connection(url)
    except ValueError:
        # Without its cause, which may quote a part of the password.
        raise ConfigurationError(
            "DURIAN['BROKER_URL'] is no URL that can be read: special characters in the user's "
            "name and password must be percent-encoded, such as %2F for a slash."
        ) from None


def _has_exchange(channel: amqp.Channel, name: str) -> bool:
    try:
        channel.exchange_declare(name, "topic", passive=True)
    except NotFound:
        return False
    return True


def _state(channel: amqp.Channel, name: str) -> QueueState:
    try:
        found = channel.queue_declare(name, passive=True)
    except NotFound:
        # The broker has closed the channel, and py-amqp has opened it again.
        return QueueState(name, False)
    return QueueState(name, True, found.message_count, found.consumer_count)


@contextmanager
def _as_topology_error() -> Iterator[None]:
    try:
        yield
    except PreconditionFailed as error:
        raise TopologyError(
            f"What is on the broker is not what durian would declare ({error.reply_text}). "
            "Empty it, delete it, and run `manage.py durian topology` again."
        ) from error

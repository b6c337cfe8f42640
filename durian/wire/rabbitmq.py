"""RabbitMQ, through kombu's connections and py-amqp's channels.

Confirms are matched by tag here and not by kombu's `confirm_publish`, which matches them by
arrival, one at a time. After any refusal the channel is of no further use: a channel opened before
a quorum queue elected a new leader may be refused for ever.
"""

import logging
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import amqp
from amqp.exceptions import AMQPError, NotFound, PreconditionFailed
from kombu import Connection
from kombu.exceptions import OperationalError

from durian.errors import MessageRefused, TopologyError, Unavailable
from durian.wire.broker import Confirmed, Incoming, OnMessage, Outgoing, QueueState
from durian.wire.topology import Queue, Topology

logger = logging.getLogger("durian.wire")

CONNECT_SECONDS = 5.0
IO_SECONDS = 10.0
"""How long a write, or the rest of a frame, may take before the connection counts as lost."""
HEARTBEAT_SECONDS = 15
DECLARE = "Run `manage.py durian topology` to declare what is missing."


class RabbitMQ:
    """A RabbitMQ, or a cluster: `url` may name several nodes, separated by semicolons."""

    def __init__(self, url: str, topology: Topology) -> None:
        self.topology = topology
        self._url = url

    def publisher(self) -> "RabbitPublisher":
        """Connect and return a publisher. Raises Unavailable."""
        with _naming_the_broker(self._url):
            return RabbitPublisher(_Link(self._url))

    def consumer(
        self, queue: str, prefetch: int, on_message: OnMessage, width: int = 1
    ) -> "RabbitConsumer":
        """Connect and consume `queue`. Raises Unavailable, TopologyError if there is no queue."""
        with _naming_the_broker(self._url):
            return RabbitConsumer(_Link(self._url), queue, prefetch, on_message, width)

    def declare(self, public: bool) -> None:
        """Make the exchanges and queues that are missing; `public` asks for the public exchange.

        Raises TopologyError when a queue is there with other arguments.
        """
        names = self.topology
        with self._channel() as channel:
            channel.exchange_declare(names.events, "topic", durable=True, auto_delete=False)
            if public:
                channel.exchange_declare(names.public, "topic", durable=True, auto_delete=False)
            for queue in names.queues():
                _declare(channel, queue)
            channel.queue_bind(names.match, names.events, "#")

    def states(self) -> list[QueueState]:
        """Return every queue as it is now, in the topology's order. Raises Unavailable."""
        return [self._state(queue.name) for queue in self.topology.queues()]

    def _state(self, name: str) -> QueueState:
        try:
            with self._channel() as channel:
                found = channel.queue_declare(name, passive=True)
        except TopologyError:
            return QueueState(name, False)
        return QueueState(name, True, found.message_count, found.consumer_count)

    @contextmanager
    def _channel(self) -> Iterator[amqp.Channel]:
        with _naming_the_broker(self._url):
            link = _Link(self._url)
            try:
                yield link.channel
            finally:
                link.close()


class _Link:
    """One connection with one channel, in the hands of one thread."""

    def __init__(self, url: str) -> None:
        self.blocked = False
        self._connection = Connection(
            url,
            connect_timeout=CONNECT_SECONDS,
            heartbeat=HEARTBEAT_SECONDS,
            transport_options={
                "on_blocked": self._on_blocked,
                "on_unblocked": self._on_unblocked,
                # py-amqp's own default is a second: back-pressure would cut the connection.
                "socket_settings": {socket.TCP_USER_TIMEOUT: 60_000},
                "client_properties": {"product": "durian"},
            },
        )
        hosts = url.count(";") + 1
        self._connection.ensure_connection(
            max_retries=hosts, interval_start=0.05, interval_step=0, timeout=CONNECT_SECONDS * hosts
        )
        self._amqp: amqp.Connection = self._connection.connection
        self._amqp.sock.settimeout(IO_SECONDS)
        self.channel: amqp.Channel = self._amqp.channel()
        self.channel.auto_decode = False
        self._poll = select.poll()
        self._poll.register(self._amqp.sock, select.POLLIN)
        self._next_tick = 0.0

    def fileno(self) -> int:
        return int(self._amqp.sock.fileno())

    def read(self) -> None:
        while self._readable():
            self._amqp.blocking_read()
        if time.monotonic() >= self._next_tick:
            self._amqp.heartbeat_tick()
            self._next_tick = time.monotonic() + 1.0

    def _readable(self) -> bool:
        pending: Callable[[], int] | None = getattr(self._amqp.sock, "pending", None)
        return bool(pending and pending()) or bool(self._poll.poll(0))

    def close(self) -> None:
        try:
            self._connection.release()
        except (OSError, AMQPError):
            pass  # It was lost before it could be closed: the broker knows already.

    def _on_blocked(self, reason: str) -> None:
        self.blocked = True

    def _on_unblocked(self) -> None:
        self.blocked = False


class RabbitPublisher:
    """Publishes with pipelined confirms and the mandatory flag."""

    def __init__(self, link: _Link) -> None:
        self._link = link
        self._channel = link.channel
        self._unconfirmed: dict[int, Confirmed] = {}
        self._published = 0
        self._optional: set[int] = set()
        self._refusal: Unavailable | None = None
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)

    def fileno(self) -> int:
        """Return the socket."""
        return self._link.fileno()

    def publish(self, message: Outgoing, confirmed: Confirmed) -> None:
        """Write `message`; `confirmed` is called by the `read` that sees the broker's confirm."""
        self._published += 1
        self._unconfirmed[self._published] = confirmed
        if not message.mandatory:
            self._optional.add(self._published)
        content = amqp.Message(
            message.body,
            delivery_mode=2,
            content_type="application/json",
            message_id=message.message_id,
            application_headers=dict(message.headers),
        )
        with _as_unavailable():
            self._channel.basic_publish(
                content, message.exchange, message.key, mandatory=message.mandatory
            )

    def read(self) -> None:
        """Call what was confirmed. Raises Unavailable when the broker refused a message."""
        with _as_unavailable():
            self._link.read()
        if self._refusal:
            raise self._refusal

    @property
    def blocked(self) -> bool:
        """Whether the broker has an alarm and takes no messages."""
        return self._link.blocked

    @property
    def pending(self) -> int:
        """How many messages are not confirmed yet."""
        return len(self._unconfirmed)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _on_ack(self, tag: int, multiple: bool) -> None:
        # What was returned as unroutable is acked as well: after a refusal no ack says anything.
        if not self._refusal:
            for confirmed in self._answered(tag, multiple):
                self._confirm(confirmed)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        for refused in self._answered(tag, multiple):
            if refused in self._optional:
                logger.warning("A queue that is not durian's refused an event.")
                self._confirm(refused)
            else:
                self._refusal = Unavailable("The broker refused a message.")

    def _answered(self, tag: int, multiple: bool) -> list[int]:
        return [one for one in self._unconfirmed if one <= tag] if multiple else [tag]

    def _confirm(self, tag: int) -> None:
        self._optional.discard(tag)
        self._unconfirmed.pop(tag)()

    def _on_return(self, error: Exception, exchange: str, key: str, message: object) -> None:
        target = f"exchange {exchange!r}" if exchange else f"queue {key!r}"
        self._refusal = TopologyError(f"No queue takes what is sent to {target}. {DECLARE}")


class RabbitConsumer:
    """Consumes one queue."""

    def __init__(
        self, link: _Link, queue: str, prefetch: int, on_message: OnMessage, width: int
    ) -> None:
        self._link = link
        self._queue = queue
        self._on_message = on_message
        self._lost: TopologyError | None = None
        channel = link.channel
        # Per consumer: quorum queues refuse the form that counts for the whole channel.
        channel.basic_qos(0, prefetch, a_global=False)
        self._tags = [
            channel.basic_consume(queue, callback=self._on_amqp_message, on_cancel=self._on_cancel)
            for _ in range(width)
        ]

    def fileno(self) -> int:
        """Return the socket."""
        return self._link.fileno()

    def read(self) -> None:
        """Hand over what has arrived. Raises Unavailable, TopologyError if the queue is gone."""
        with _as_unavailable():
            self._link.read()
        if self._lost:
            raise self._lost

    def ack(self, tag: int) -> None:
        """Ack one message. Raises Unavailable."""
        with _as_unavailable():
            self._link.channel.basic_ack(tag)

    def requeue(self, tag: int) -> None:
        """Give one message back. Raises Unavailable."""
        with _as_unavailable():
            self._link.channel.basic_nack(tag, requeue=True)

    def cancel(self) -> None:
        """Take no more messages. Raises Unavailable."""
        with _as_unavailable():
            for tag in self._tags:
                self._link.channel.basic_cancel(tag)

    def close(self) -> None:
        """Close the connection; the broker gives what was not acked to others."""
        self._link.close()

    def _on_amqp_message(self, message: Any) -> None:
        info = message.delivery_info
        self._on_message(
            Incoming(
                tag=info["delivery_tag"],
                body=message.body,
                headers=message.properties.get("application_headers") or {},
                redelivered=info["redelivered"],
                queue=self._queue,
                message_id=message.properties.get("message_id", ""),
            )
        )

    def _on_cancel(self, consumer_tag: str) -> None:
        self._lost = TopologyError(f"Queue {self._queue!r} was deleted. {DECLARE}")


def _declare(channel: amqp.Channel, queue: Queue) -> None:
    try:
        channel.queue_declare(
            queue.name, durable=True, auto_delete=False, arguments=queue.arguments
        )
    except PreconditionFailed as error:
        raise TopologyError(
            f"Queue {queue.name!r} is there with other arguments than durian's "
            f"({error.reply_text}). Empty it, delete it, and declare again."
        ) from error


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        raise TopologyError(f"{error.reply_text}. {DECLARE}") from error
    except PreconditionFailed as error:
        raise MessageRefused(error.reply_text) from error
    except (AMQPError, OperationalError, OSError) as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error


@contextmanager
def _naming_the_broker(url: str) -> Iterator[None]:
    try:
        with _as_unavailable():
            yield
    except TopologyError:
        raise
    except Unavailable as error:
        address = Connection(url).as_uri()
        raise Unavailable(f"The broker at {address} is away: {error}") from error

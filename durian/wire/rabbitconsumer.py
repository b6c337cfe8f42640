"""Consuming a queue of RabbitMQ, over a connection of its own."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from durian.errors import TopologyError, Unavailable
from durian.wire.acks import Ack, Acks
from durian.wire.broker import Incoming, OnMessage
from durian.wire.link import DECLARE, Link

ACK_SECONDS = 60.0
"""How long the broker may take for the last acks: among many unacked ones, each is slow to find."""


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
        # A channel that ends forgets the acks that it has not passed on to its queue. Who begins or
        # ceases to consume is answered by the queue itself, after what came before; who ceases to
        # once more, after `cancel`, by the channel. What is given out now goes back at once.
        with suppress(Unavailable), self._link.patience(ACK_SECONDS), self._link.talking():
            self._write(self._acks.rest())
            self._link.channel.basic_qos(0, 1, a_global=False)
            self._link.channel.basic_cancel(self._link.channel.basic_consume(self._queue))

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

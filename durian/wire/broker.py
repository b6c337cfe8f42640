"""What the stages need of a broker, whichever it is: RabbitMQ, or this process's memory.

A publisher and a consumer each belong to one thread, which waits for their `fileno()` and calls
`read()`; nothing here blocks for longer than it takes to write.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from durian.errors import Unavailable
from durian.wire.topology import Topology


class Outgoing(msgspec.Struct, frozen=True):
    """A message to publish.

    `mandatory` asks for an error when no queue takes it; `patient` lets it wait for a moment, to be
    published together with others.
    """

    exchange: str
    key: str
    body: bytes
    message_id: str = ""
    headers: Mapping[str, Any] = msgspec.field(default_factory=dict)
    mandatory: bool = True
    patient: bool = False


class Incoming(msgspec.Struct, frozen=True):
    """A message that was consumed; `tag` is what the consumer acks."""

    tag: int
    body: bytes
    headers: Mapping[str, Any]
    redelivered: bool
    queue: str
    message_id: str = ""


@dataclass(frozen=True)
class QueueState:
    """A queue as the broker sees it; `exists` is false when it was never declared."""

    name: str
    exists: bool
    messages: int = 0
    consumers: int = 0


Confirmed = Callable[[], None]
Refused = Callable[[Unavailable], None]
OnMessage = Callable[[Incoming], None]


class Publisher(Protocol):
    """A connection to publish on, with confirms."""

    def fileno(self) -> int:
        """Return what to wait for before `read`."""
        ...

    def publish(self, message: Outgoing, confirmed: Confirmed, refused: Refused) -> None:
        """Write `message`; a later `read` calls either `confirmed`, or `refused` with the reason.

        It leaves at the next `flush` or `read`, or earlier. Raises Unavailable, MessageRefused for
        what cannot be sent.
        """
        ...

    def flush(self) -> None:
        """Send what was written; to be called before waiting. Raises Unavailable."""
        ...

    def read(self) -> None:
        """Call what was confirmed or refused.

        Raises Unavailable when the connection is lost, MessageRefused when the broker closed it
        because of one of the messages: the fate of all that are pending is then unknown.
        """
        ...

    @property
    def blocked(self) -> bool:
        """Whether the broker asked to stop publishing (memory or disk alarm)."""
        ...

    @property
    def pending(self) -> int:
        """How many messages are neither confirmed nor refused yet."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


class Consumer(Protocol):
    """A connection to consume on."""

    def fileno(self) -> int:
        """Return what to wait for before `read`."""
        ...

    def read(self) -> None:
        """Hand what has arrived to the callback. Raises Unavailable when the connection is lost."""
        ...

    def ack(self, tag: int, hold: bool = False) -> None:
        """Note that a message is done with: the next `flush`, `read` or `close` says so.

        With `hold` it may be a later one, for the sake of speed: for what does no harm if it comes
        again.
        """
        ...

    def flush(self) -> None:
        """Send what was written; to be called before waiting. Raises Unavailable."""
        ...

    def consumers(self) -> int:
        """Return how many consumers the queue has, this one among them. Raises Unavailable."""
        ...

    def cancel(self) -> None:
        """Take no more messages; those that were taken can still be acked."""
        ...

    def close(self) -> None:
        """Give the connection, and all that was not acked, back."""
        ...


class Broker(Protocol):
    """A broker, with the names that durian has on it."""

    topology: Topology

    def publisher(self) -> Publisher:
        """Connect and return a publisher. Raises Unavailable."""
        ...

    def consumer(
        self, queue: str, prefetch: int, on_message: OnMessage, width: int = 1
    ) -> Consumer:
        """Connect and consume, at most `prefetch` messages unacked, `width` times that.

        AMQP counts the prefetch in 16 bits; `width` is for who looks at more. Raises Unavailable.
        """
        ...

    def declare(self, public: bool) -> None:
        """Make what is missing. Raises TopologyError for what is there with other arguments."""
        ...

    def missing_exchanges(self, public: bool) -> list[str]:
        """Return the exchanges that are not there; `public` as in `declare`. Raises Unavailable."""
        ...

    def states(self) -> list[QueueState]:
        """Return every queue of the topology as it is now. Raises Unavailable."""
        ...

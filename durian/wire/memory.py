"""A broker in this process's memory: for a first look, and for tests of a site.

It keeps the order, gives back what was not acked, and delays by a heap. It promises nothing beyond
the life of the process.
"""

import heapq
import itertools
import threading
import time
from collections import deque
from functools import partial

from durian.errors import TopologyError
from durian.wire.broker import Confirmed, Incoming, OnMessage, Outgoing, QueueState, Refused
from durian.wire.topology import Queue, Topology
from durian.wire.wakeup import Wakeup


class MemoryBroker:
    """All queues of one topology; threads share it."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._lock = threading.RLock()
        self._queues = {queue.name: _MemoryQueue(queue) for queue in topology.queues()}
        self._delayed: list[tuple[float, int, str, _Stored]] = []
        self._order = itertools.count()
        self._timer_wanted = threading.Condition(self._lock)
        self._timer: threading.Thread | None = None

    def publisher(self) -> "MemoryPublisher":
        """Return a publisher."""
        return MemoryPublisher(self)

    def consumer(
        self, queue: str, prefetch: int, on_message: OnMessage, width: int = 1
    ) -> "MemoryConsumer":
        """Return a consumer of `queue`."""
        return MemoryConsumer(self, queue, prefetch * width, on_message)

    def declare(self, public: bool) -> None:
        """Do nothing: the queues are there from the start, and nobody else can bind to them."""

    def missing_exchanges(self, public: bool) -> list[str]:
        """Return nothing: the exchanges are there from the start."""
        return []

    def states(self) -> list[QueueState]:
        """Return every queue as it is now, in the topology's order."""
        with self._lock:
            waiting = {name: 0 for name in self._queues}
            for _, _, target, _ in self._delayed:
                waiting[target] += 1
            return [
                QueueState(name, True, len(queue.messages) + waiting[name], len(queue.consumers))
                for name, queue in self._queues.items()
            ]

    def put(self, message: Outgoing) -> None:
        """Route a message. Raises TopologyError if no queue takes it."""
        name = self.topology.match if message.exchange == self.topology.events else message.key
        stored = _Stored(message)
        with self._lock:
            if message.exchange == self.topology.public:
                return
            if name not in self._queues:
                raise TopologyError(f"No queue {name!r} takes the message.")
            queue = self._queues[name]
            if queue.ttl is None:
                queue.put(stored)
            else:
                due = time.monotonic() + queue.ttl
                heapq.heappush(self._delayed, (due, next(self._order), name, stored))
                self._wake_timer()

    def attach(self, consumer: "MemoryConsumer") -> None:
        """Let `consumer` know of what arrives."""
        with self._lock:
            self._queues[consumer.queue].consumers.append(consumer)
            consumer.arrived.set()

    def detach(self, consumer: "MemoryConsumer", give_back: list["_Stored"]) -> None:
        """Forget `consumer` and put what it had not acked where it was: at the head."""
        with self._lock:
            queue = self._queues[consumer.queue]
            if consumer in queue.consumers:
                queue.consumers.remove(consumer)
            for stored in reversed(give_back):
                stored.redelivered = True
                queue.messages.appendleft(stored)
            queue.wake()

    def consumers(self, queue: str) -> int:
        """Return how many consumers `queue` has."""
        with self._lock:
            return len(self._queues[queue].consumers)

    def take(self, queue: str) -> "_Stored | None":
        """Return the next message of `queue`, if there is one."""
        with self._lock:
            messages = self._queues[queue].messages
            return messages.popleft() if messages else None

    def _wake_timer(self) -> None:
        self._timer_wanted.notify()
        if self._timer is None:
            self._timer = threading.Thread(
                target=self._release_when_due, name="durian-delays", daemon=True
            )
            self._timer.start()

    def _release_when_due(self) -> None:
        with self._lock:
            while True:
                now = time.monotonic()
                while self._delayed and self._delayed[0][0] <= now:
                    _, _, name, stored = heapq.heappop(self._delayed)
                    self._queues[self._queues[name].target].put(stored)
                wait = self._delayed[0][0] - now if self._delayed else None
                self._timer_wanted.wait(wait)


class _Stored:
    __slots__ = ("message", "redelivered")

    def __init__(self, message: Outgoing) -> None:
        self.message = message
        self.redelivered = False


class _MemoryQueue:
    def __init__(self, queue: Queue) -> None:
        ttl = queue.arguments.get("x-message-ttl")
        self.ttl: float | None = None if ttl is None else ttl / 1000
        self.target: str = queue.arguments.get("x-dead-letter-routing-key", "")
        self.messages: deque[_Stored] = deque()
        self.consumers: list[MemoryConsumer] = []

    def put(self, stored: _Stored) -> None:
        self.messages.append(stored)
        self.wake()

    def wake(self) -> None:
        for consumer in self.consumers:
            consumer.arrived.set()


class MemoryPublisher:
    """Publishes into the memory; confirms at the next `read`, as a broker would."""

    blocked = False

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._settled: list[Confirmed] = []
        self._wakeup = Wakeup()

    def fileno(self) -> int:
        """Return what is readable when a confirm waits."""
        return self._wakeup.fileno()

    def publish(self, message: Outgoing, confirmed: Confirmed, refused: Refused) -> None:
        """Put `message` into its queue."""
        try:
            self._broker.put(message)
            self._settled.append(confirmed)
        except TopologyError as error:
            self._settled.append(partial(refused, error))
        self._wakeup.set()

    def flush(self) -> None:
        """Do nothing: what was published has arrived."""

    def read(self) -> None:
        """Call what was confirmed or refused."""
        self._wakeup.clear()
        settled, self._settled = self._settled, []
        for call in settled:
            call()

    @property
    def pending(self) -> int:
        """How many confirms wait for `read`."""
        return len(self._settled)

    def close(self) -> None:
        """Do nothing: what was published is in its queue."""


class MemoryConsumer:
    """Takes messages from one queue, in its thread."""

    def __init__(
        self, broker: MemoryBroker, queue: str, prefetch: int, on_message: OnMessage
    ) -> None:
        self.queue = queue
        self.arrived = Wakeup()
        self._broker = broker
        self._prefetch = prefetch
        self._on_message = on_message
        self._unacked: dict[int, _Stored] = {}
        self._tags = itertools.count(1)
        self._cancelled = False
        broker.attach(self)

    def fileno(self) -> int:
        """Return what is readable when messages wait."""
        return self.arrived.fileno()

    def read(self) -> None:
        """Hand over what is there, up to the prefetch."""
        self.arrived.clear()
        while not self._cancelled and len(self._unacked) < self._prefetch:
            stored = self._broker.take(self.queue)
            if stored is None:
                return
            tag = next(self._tags)
            self._unacked[tag] = stored
            message = stored.message
            self._on_message(
                Incoming(
                    tag=tag,
                    body=message.body,
                    headers=message.headers,
                    redelivered=stored.redelivered,
                    queue=self.queue,
                    message_id=message.message_id,
                )
            )

    def ack(self, tag: int, hold: bool = False) -> None:
        """Forget a message."""
        del self._unacked[tag]
        self.arrived.set()

    def flush(self) -> None:
        """Do nothing: what was acked is gone."""

    def consumers(self) -> int:
        """Return how many consumers the queue has."""
        return self._broker.consumers(self.queue)

    def cancel(self) -> None:
        """Take no more messages."""
        self._cancelled = True

    def close(self) -> None:
        """Give back all that was not acked."""
        self._broker.detach(self, list(self._unacked.values()))
        self._unacked.clear()

"""A pump in a thread, and looks into queues, for the tests of the wire."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import amqp

from durian.wire.aside import Reader
from durian.wire.broker import Broker, Consumer, Incoming, Outgoing
from durian.wire.outcome import Answer, Handler, Outcome
from durian.wire.publishing import publish_all
from durian.wire.pump import Pump
from durian.wire.wakeup import wait_readable
from tests.servers.free import wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ

PATIENCE = 30.0
"""How long a test waits for what must come, in seconds."""


class Running:
    """A pump in its own thread."""

    def __init__(self, pump: Pump) -> None:
        self.pump = pump
        self.error: BaseException | None = None
        threading.Thread(target=pump.read_aside, daemon=True).start()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.pump.run()
        except BaseException as error:
            self.error = error
            raise

    def stop(self, within: float = 5.0) -> None:
        """Stop the pump; fails when it does not return in time, or did so with an error."""
        self.pump.stop(within)
        self.thread.join(within + 5.0)
        assert not self.thread.is_alive(), "the pump goes on after its bound"
        assert self.error is None


@contextmanager
def pumping(
    broker: Broker,
    handler: Handler,
    prefetch: int = 100,
    queue: str = "",
    reader: Reader | None = None,
    on_census: Callable[[int], None] | None = None,
) -> Iterator[Running]:
    """Run a pump of the deliveries with `handler` in the block."""
    names = broker.topology
    pump = Pump(
        broker,
        queue or names.deliver,
        handler,
        prefetch=prefetch,
        parking=names.delay(0.25),
        reader=reader,
        on_census=on_census,
    )
    running = Running(pump)
    try:
        yield running
    finally:
        if running.thread.is_alive():
            running.stop()


def onward(broker: Broker) -> Handler:
    """Return a handler that answers at once: the same body, for the matchers' queue."""
    queue = broker.topology.match

    def handle(incoming: Incoming, answer: Answer) -> None:
        answer(Outcome(publish=[Outgoing("", queue, incoming.body)]))

    return handle


def put(broker: Broker, queue: str, bodies: Iterable[bytes]) -> None:
    """Publish `bodies` to `queue`, confirmed."""
    publisher = broker.publisher()
    publish_all(publisher, [Outgoing("", queue, body, f"id-{body!r}"[:50]) for body in bodies])
    publisher.close()


def numbered(count: int) -> list[bytes]:
    """Return so many bodies, each another."""
    return [str(number).encode() for number in range(count)]


def waiting(broker: Broker, queue: str) -> int:
    """Return how many messages wait in `queue`; what is unacked is not counted."""
    return {state.name: state.messages for state in broker.states()}[queue]


def wait_for(broker: Broker, queue: str, count: int) -> None:
    """Return when `count` messages wait in `queue`."""
    wait_until(
        lambda: waiting(broker, queue) == count, PATIENCE, f"{count} messages in {queue}", 0.05
    )


def read_until(consumer: Consumer, enough: Callable[[], bool], what: str) -> None:
    """Read from `consumer` until that is enough."""

    def is_enough() -> bool:
        wait_readable([consumer], 0.1)
        consumer.read()
        return enough()

    wait_until(is_enough, PATIENCE, what, every=0)


def take(broker: Broker, queue: str, count: int, ack: bool = True) -> list[Incoming]:
    """Return `count` messages of `queue`, acked; without `ack` they stay there."""
    taken: list[Incoming] = []
    consumer = broker.consumer(queue, count, taken.append)
    read_until(consumer, lambda: len(taken) >= count, f"{count} messages of {queue}")
    for incoming in taken if ack else ():
        consumer.ack(incoming.tag)
    consumer.close()
    return taken


@contextmanager
def channel(server: PrivateRabbitMQ) -> Iterator[amqp.Channel]:
    """Give a plain channel, for what durian itself does not do."""
    with amqp.Connection(f"127.0.0.1:{server.port}") as connection:
        yield connection.channel()


def cut_connections(server: PrivateRabbitMQ) -> None:
    """Have the broker close every connection."""
    server.ctl("close_all_connections", "test")

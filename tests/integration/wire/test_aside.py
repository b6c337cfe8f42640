"""What has to be read before a message is handled: it is read beside the pump, on both brokers."""

import threading
import time
from collections.abc import Callable, Sequence
from itertools import chain

import pytest

from durian.errors import Unavailable
from durian.wire.broker import Broker, Incoming
from durian.wire.dead import read_autopsy
from durian.wire.outcome import Answer, Handler
from tests.integration.wire.harness import (
    PATIENCE,
    cut_connections,
    numbered,
    onward,
    pumping,
    put,
    take,
    wait_for,
    waiting,
)
from tests.servers.free import wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ

MANY = 50


class Library:
    """A reader that wants `wanted`, and reads when its door is open."""

    def __init__(self, wanted: Sequence[bytes]) -> None:
        self.wanted = set(wanted)
        self.optional: set[bytes] = set()
        self.door = threading.Event()
        self.door.set()
        self.error: Callable[[list[bytes]], Exception | None] = lambda bodies: None
        self.batches: list[list[bytes]] = []
        self.known: set[bytes] = set()

    def wants(self, incoming: Incoming) -> bool:
        """Say whether it is wanted."""
        return incoming.body in self.wanted

    def read(self, batch: Sequence[Incoming]) -> None:
        """Wait for the door, and read."""
        bodies = [one.body for one in batch]
        self.batches.append(bodies)
        assert self.door.wait(PATIENCE)
        if error := self.error(bodies):
            raise error
        self.known.update(bodies)

    def can_do_without(self, incoming: Incoming) -> bool:
        """Say whether it is optional."""
        return incoming.body in self.optional

    def lend(self, handler: Handler) -> Handler:
        """Return a handler that insists on what it wants, unless it can do without."""

        def handle(incoming: Incoming, answer: Answer) -> None:
            assert incoming.body in self.known | self.optional or not self.wants(incoming)
            handler(incoming, answer)

        return handle


@pytest.fixture
def filled(broker: Broker) -> Broker:
    """A broker whose queue of deliveries has MANY messages."""
    put(broker, broker.topology.deliver, numbered(MANY))
    return broker


def test_what_is_wanted_is_read_before_and_for_many_at_once(filled: Broker) -> None:
    library = Library(numbered(MANY))
    library.door.clear()
    with pumping(filled, library.lend(onward(filled)), reader=library):
        wait_until(lambda: waiting(filled, filled.topology.deliver) == 0, PATIENCE, "all are taken")
        library.door.set()
        wait_for(filled, filled.topology.match, MANY)
    assert sorted(chain.from_iterable(library.batches)) == sorted(numbered(MANY))
    assert len(library.batches) < MANY / 5


def test_the_others_go_on_while_it_is_read(filled: Broker) -> None:
    library = Library([b"7"])
    library.door.clear()
    with pumping(filled, library.lend(onward(filled)), reader=library):
        wait_for(filled, filled.topology.match, MANY - 1)
        library.door.set()
        wait_for(filled, filled.topology.match, MANY)


def test_while_nothing_can_be_read_those_go_on_that_can_do_without(
    filled: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    library = Library([b"7", b"8", b"9"])
    library.optional = {b"8"}
    library.error = lambda bodies: Unavailable("The library is closed.")
    with pumping(filled, library.lend(onward(filled)), reader=library):
        wait_for(filled, filled.topology.match, MANY - 2)
        wait_until(lambda: len(library.batches) > 3, PATIENCE, "it is tried again")
        assert waiting(filled, filled.topology.match) == MANY - 2
        library.error = lambda bodies: None
        wait_for(filled, filled.topology.match, MANY)
    assert "The library is closed." in caplog.text
    assert waiting(filled, filled.topology.dead) == 0


def test_nobody_asks_more_and_more_often_while_nothing_can_be_read(filled: Broker) -> None:
    library = Library(numbered(10 * MANY))
    library.error = lambda bodies: Unavailable("The library is closed.")
    with pumping(filled, library.lend(onward(filled)), reader=library):
        began = time.monotonic()
        while time.monotonic() < began + 1.0:
            put(filled, filled.topology.deliver, numbered(1))
        # After 0.1 seconds at least, then 0.2, then 0.4.
        assert 1 <= len(library.batches) <= 4


def test_one_that_cannot_be_read_for_is_buried_alone(filled: Broker) -> None:
    library = Library(numbered(MANY))
    library.error = lambda bodies: ZeroDivisionError("odd") if b"7" in bodies else None
    with pumping(filled, library.lend(onward(filled)), reader=library):
        wait_for(filled, filled.topology.match, MANY - 1)
        wait_for(filled, filled.topology.dead, 1)
    (letter,) = take(filled, filled.topology.dead, 1)
    autopsy = read_autopsy(letter.headers, letter.body)
    assert letter.body == b"7"
    assert (autopsy.reason, autopsy.detail) == ("handler-error", "ZeroDivisionError: odd")


def test_what_a_handler_misses_is_read_once_more(filled: Broker) -> None:
    library = Library([])
    missed = threading.Event()

    def handle(incoming: Incoming, answer: Answer) -> None:
        if incoming.body == b"7" and b"7" not in library.known:
            missed.set()
            raise Unavailable("It has been forgotten.")
        onward(filled)(incoming, answer)

    with pumping(filled, handle, reader=library):
        wait_for(filled, filled.topology.match, MANY)
    assert missed.is_set()
    assert library.batches == [[b"7"]]


def test_stopping_does_not_wait_for_what_is_read(filled: Broker) -> None:
    library = Library([b"7", b"8"])
    library.door.clear()
    with pumping(filled, library.lend(onward(filled)), reader=library) as running:
        wait_for(filled, filled.topology.match, MANY - 2)
        began = time.monotonic()
        running.stop(within=PATIENCE)
        assert time.monotonic() < began + PATIENCE / 2
    library.door.set()
    wait_for(filled, filled.topology.deliver, 2)
    assert waiting(filled, filled.topology.match) == MANY - 2


def test_what_a_lost_connection_took_is_handled_once(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker
) -> None:
    library = Library([b"7", b"8"])
    library.door.clear()
    put(rabbit, rabbit.topology.deliver, numbered(MANY))
    with pumping(rabbit, library.lend(onward(rabbit)), reader=library):
        wait_for(rabbit, rabbit.topology.match, MANY - 2)
        cut_connections(rabbitmq)
        # Behind what comes again: that has been seen when this one has been handled.
        put(rabbit, rabbit.topology.deliver, [b"last"])
        wait_for(rabbit, rabbit.topology.match, MANY - 1)
        library.door.set()
        wait_for(rabbit, rabbit.topology.match, MANY + 1)
    assert waiting(rabbit, rabbit.topology.match) == MANY + 1
    assert waiting(rabbit, rabbit.topology.deliver) == 0

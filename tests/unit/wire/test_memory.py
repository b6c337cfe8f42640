import os

import pytest

from durian.errors import TopologyError, Unavailable
from durian.wire.broker import Incoming, Outgoing
from durian.wire.memory import MemoryBroker, MemoryConsumer
from durian.wire.publishing import publish_all
from durian.wire.topology import Topology


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(Topology("a."))


def put(broker: MemoryBroker, *bodies: bytes) -> None:
    publish_all(
        broker.publisher(),
        [Outgoing("", broker.topology.deliver, body, headers={"n": 1}) for body in bodies],
    )


def consume(broker: MemoryBroker, prefetch: int = 100) -> tuple[MemoryConsumer, list[Incoming]]:
    arrived: list[Incoming] = []
    return broker.consumer(broker.topology.deliver, prefetch, arrived.append), arrived


def bodies(arrived: list[Incoming]) -> list[bytes]:
    return [incoming.body for incoming in arrived]


def waiting(broker: MemoryBroker, queue: str) -> int:
    return {state.name: state.messages for state in broker.states()}[queue]


def test_messages_come_in_order_with_all_that_was_sent(broker: MemoryBroker) -> None:
    put(broker, b"1", b"2", b"3")
    consumer, arrived = consume(broker)
    consumer.read()
    assert bodies(arrived) == [b"1", b"2", b"3"]
    assert (arrived[0].headers, arrived[0].redelivered, arrived[0].queue) == (
        {"n": 1},
        False,
        broker.topology.deliver,
    )


def test_no_more_than_the_prefetch_is_given_out(broker: MemoryBroker) -> None:
    put(broker, b"1", b"2", b"3")
    consumer, arrived = consume(broker, prefetch=2)
    consumer.read()
    consumer.read()
    assert bodies(arrived) == [b"1", b"2"]
    consumer.ack(arrived[0].tag)
    consumer.read()
    assert bodies(arrived) == [b"1", b"2", b"3"]


def test_what_was_not_acked_comes_back_to_its_place(broker: MemoryBroker) -> None:
    put(broker, b"1", b"2", b"3", b"4")
    consumer, arrived = consume(broker, prefetch=3)
    consumer.read()
    consumer.ack(arrived[1].tag)
    consumer.close()
    other, again = consume(broker)
    other.read()
    assert bodies(again) == [b"1", b"3", b"4"]
    assert [incoming.redelivered for incoming in again] == [True, True, False]


def test_a_consumer_that_was_cancelled_takes_no_more_and_can_ack(broker: MemoryBroker) -> None:
    put(broker, b"1")
    consumer, arrived = consume(broker)
    consumer.read()
    consumer.cancel()
    put(broker, b"2")
    consumer.read()
    consumer.ack(arrived[0].tag)
    consumer.close()
    assert bodies(arrived) == [b"1"]
    assert waiting(broker, broker.topology.deliver) == 1


def test_events_go_to_the_matchers(broker: MemoryBroker) -> None:
    publish_all(broker.publisher(), [Outgoing(broker.topology.events, "order.paid", b"{}")])
    assert waiting(broker, broker.topology.match) == 1


def test_a_confirm_comes_when_the_publisher_reads(broker: MemoryBroker) -> None:
    confirmed: list[int] = []
    publisher = broker.publisher()
    refused: list[Unavailable] = []
    message = Outgoing("", broker.topology.dead, b"")
    publisher.publish(message, lambda: confirmed.append(1), refused.append)
    assert (confirmed, publisher.pending) == ([], 1)
    publisher.read()
    assert (confirmed, publisher.pending, refused) == ([1], 0, [])


def test_a_message_for_no_queue_is_refused(broker: MemoryBroker) -> None:
    with pytest.raises(TopologyError, match=r"'nowhere'"):
        publish_all(broker.publisher(), [Outgoing("", "nowhere", b"")])


def test_a_delayed_message_counts_where_it_rests(broker: MemoryBroker) -> None:
    resting = broker.topology.delay(4.0)
    publish_all(broker.publisher(), [Outgoing("", resting, b"{}")])
    assert waiting(broker, resting) == 1
    assert waiting(broker, broker.topology.deliver) == 0


def test_the_states_name_the_consumers(broker: MemoryBroker) -> None:
    consumer, _ = consume(broker)
    states = {state.name: state for state in broker.states()}
    assert list(states) == [queue.name for queue in broker.topology.queues()]
    assert states[broker.topology.deliver].consumers == 1
    consumer.close()
    assert not any(state.consumers for state in broker.states())


def test_publishers_and_consumers_give_their_descriptors_back(broker: MemoryBroker) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = open_files()
    for _ in range(200):
        broker.publisher().close()
        consume(broker)[0].close()
    assert open_files() <= before + 4

"""What RabbitMQ and the network can do to a pump: nothing is lost, and it comes back."""

import logging
import queue
import threading
import time

import amqp
import msgspec
import pytest

from durian.errors import Unavailable
from durian.wire import connect
from durian.wire.broker import Broker, Incoming, Outgoing
from durian.wire.dead import read_autopsy
from durian.wire.jobs import Jobs
from durian.wire.outcome import Answer, Done, Outcome
from durian.wire.rabbitconsumer import RabbitConsumer
from durian.wire.rabbitmq import RabbitMQ
from tests.integration.wire.harness import (
    PATIENCE,
    channel,
    cut_connections,
    numbered,
    onward,
    pumping,
    put,
    read_until,
    take,
    wait_for,
    waiting,
)
from tests.servers.free import wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ


def published(broker: Broker) -> list[bytes]:
    """Return the bodies of all that the pump published."""
    count = waiting(broker, broker.topology.match)
    return [incoming.body for incoming in take(broker, broker.topology.match, count)]


def test_a_message_is_not_acked_before_its_consequences_are_confirmed(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker
) -> None:
    recorded: queue.Queue[Done] = queue.Queue()
    looks: list[Incoming] = []

    def handle(incoming: Incoming, answer: Answer) -> None:
        looks.append(incoming)
        answer(Outcome([Outgoing("", rabbit.topology.match, b"")], record=recorded.put))

    put(rabbit, rabbit.topology.deliver, [b"1"])
    with pumping(rabbit, handle):
        done = recorded.get(timeout=PATIENCE)
        cut_connections(rabbitmq)
        # The ack of a connection that is gone must not meet a message of the next one.
        done()
        wait_until(lambda: len(looks) == 2, PATIENCE, "it comes again")
        recorded.get(timeout=PATIENCE)()
        wait_for(rabbit, rabbit.topology.match, 2)
    assert [incoming.redelivered for incoming in looks] == [False, True]
    assert waiting(rabbit, rabbit.topology.deliver) == 0


def test_what_is_under_way_when_the_connection_is_lost_is_not_handled_again(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker
) -> None:
    taken: queue.Queue[tuple[Incoming, Answer]] = queue.Queue()
    put(rabbit, rabbit.topology.deliver, numbered(20))
    with pumping(rabbit, lambda incoming, answer: taken.put((incoming, answer))) as running:
        held = [taken.get(timeout=PATIENCE) for _ in range(20)]
        for _ in range(2):
            cut_connections(rabbitmq)
            # Behind what comes again: that has been seen when this one has.
            put(rabbit, rabbit.topology.deliver, [b"20"])
            held.append(taken.get(timeout=PATIENCE))
        for incoming, answer in held:
            answer(Outcome([Outgoing("", rabbit.topology.match, incoming.body)]))
        wait_for(rabbit, rabbit.topology.match, 22)
        running.stop()
    assert taken.empty()
    assert not any(incoming.redelivered for incoming, _ in held)
    assert waiting(rabbit, rabbit.topology.deliver) == 0


def test_the_ack_of_a_lost_connection_acks_nothing_of_the_next_one(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> RabbitConsumer:
        raise Unavailable("The broker is away.")

    taken: queue.Queue[tuple[Incoming, Answer]] = queue.Queue()
    put(rabbit, rabbit.topology.deliver, [b"first"])
    with pumping(rabbit, lambda incoming, answer: taken.put((incoming, answer))) as running:
        first, answer = taken.get(timeout=PATIENCE)
        with monkeypatch.context() as patch:
            patch.setattr(RabbitMQ, "consumer", away)
            cut_connections(rabbitmq)
            # Somebody else takes it when it comes again.
            with channel(rabbitmq) as plain:
                message = None
                while message is None:
                    message = plain.basic_get(rabbit.topology.deliver, no_ack=True)
        put(rabbit, rabbit.topology.deliver, [b"second"])
        second, _ = taken.get(timeout=PATIENCE)
        assert (second.body, second.tag) == (b"second", first.tag)
        answer(Outcome())
        running.stop(within=0.0)
    wait_for(rabbit, rabbit.topology.deliver, 1)


def test_what_is_equal_to_a_message_under_way_is_a_message_of_its_own() -> None:
    jobs = Jobs()
    message = Incoming(1, b"same", {}, False, "")
    jobs.begin(message, 1)
    jobs.lose([])
    assert jobs.begin(message, 2), "nobody has seen it before"
    assert jobs.begin(msgspec.structs.replace(message, redelivered=True), 2) is None
    assert len(jobs) == 2


def test_cut_connections_lose_nothing(rabbitmq: PrivateRabbitMQ, rabbit: Broker) -> None:
    seen = threading.Semaphore(0)

    def handle(incoming: Incoming, answer: Answer) -> None:
        seen.release()
        onward(rabbit)(incoming, answer)

    put(rabbit, rabbit.topology.deliver, numbered(5000))
    with pumping(rabbit, handle, prefetch=50):
        for _ in range(2):
            seen.acquire(timeout=PATIENCE)
            cut_connections(rabbitmq)
        wait_until(
            lambda: waiting(rabbit, rabbit.topology.match) >= 5000, PATIENCE, "all came through"
        )
        wait_for(rabbit, rabbit.topology.deliver, 0)
    assert set(published(rabbit)) == set(numbered(5000))
    assert waiting(rabbit, rabbit.topology.deliver) == 0


def test_a_killed_broker_loses_nothing(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    seen = threading.Semaphore(0)
    confirmed: set[bytes] = set()

    def handle(incoming: Incoming, answer: Answer) -> None:
        def note(done: Done) -> None:
            confirmed.add(incoming.body)
            done()

        seen.release()
        answer(Outcome([Outgoing("", rabbit.topology.match, incoming.body)], record=note))

    put(rabbit, rabbit.topology.deliver, numbered(3000))
    with pumping(rabbit, handle, prefetch=50):
        seen.acquire(timeout=PATIENCE)
        rabbitmq.kill()
        rabbitmq.start()
        # A queue that recovers counts what it held at any time before: it cannot be asked yet.
        wait_until(lambda: len(confirmed) == 3000, 60, "all came through", 0.2)
        wait_for(rabbit, rabbit.topology.deliver, 0)
    assert set(published(rabbit)) == set(numbered(3000))
    # It tried now and then, and did not flood the log.
    assert len(caplog.records) < 40
    assert "guest:guest" not in caplog.text


@pytest.fixture
def own(rabbitmq: PrivateRabbitMQ, amqp_prefix: str) -> Broker:
    """A broker whose queues this test may delete."""
    broker = connect.broker(rabbitmq.url, amqp_prefix)
    broker.declare(public=False)
    return broker


@pytest.mark.parametrize("attempt", range(15))  # Without the wait, one in three fails.
def test_what_is_acked_after_a_cancel_stays_acked_when_the_connection_ends(
    rabbit: Broker, attempt: int
) -> None:
    # More acks than a channel passes on at once, and in gaps, so that no two of them are one.
    taken: list[Incoming] = []
    put(rabbit, rabbit.topology.deliver, numbered(300))
    consumer = rabbit.consumer(rabbit.topology.deliver, 300, taken.append)
    read_until(consumer, lambda: len(taken) == 300, "all are there")
    consumer.cancel()
    for incoming in taken:
        if incoming.tag % 3:
            consumer.ack(incoming.tag)
    consumer.close()
    wait_for(rabbit, rabbit.topology.deliver, 100)
    left = {incoming.body for incoming in take(rabbit, rabbit.topology.deliver, 100)}
    assert left == {incoming.body for incoming in taken if incoming.tag % 3 == 0}


def test_a_deleted_queue_is_named_with_the_remedy_and_consumed_once_it_is_back(
    rabbitmq: PrivateRabbitMQ, own: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    with pumping(own, onward(own)):
        put(own, own.topology.deliver, [b"before"])
        wait_for(own, own.topology.match, 1)
        with channel(rabbitmq) as plain:
            plain.queue_delete(own.topology.deliver)
        wait_until(lambda: "durian topology" in caplog.text, PATIENCE, "the remedy is logged")
        own.declare(public=False)
        put(own, own.topology.deliver, [b"after"])
        wait_for(own, own.topology.match, 2)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert own.topology.deliver in errors[0].getMessage()


def test_a_consequence_without_a_queue_waits_and_holds_up_nobody_else(
    rabbitmq: PrivateRabbitMQ, own: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    missing = own.topology.delay(4.0)
    with channel(rabbitmq) as plain:
        plain.queue_delete(missing)

    def handle(incoming: Incoming, answer: Answer) -> None:
        queue = missing if incoming.body == b"0" else own.topology.match
        answer(Outcome([Outgoing("", queue, incoming.body)]))

    put(own, own.topology.deliver, numbered(100))
    with pumping(own, handle):
        wait_until(lambda: "durian topology" in caplog.text, PATIENCE, "the remedy is logged")
        wait_for(own, own.topology.match, 99)
        own.declare(public=False)
        # What was refused is published again, and the others were published once.
        wait_for(own, missing, 1)
    assert len(published(own)) == 99
    assert missing in caplog.text
    assert len(caplog.records) < 20


@pytest.mark.usefixtures("small_messages")
def test_a_consequence_that_the_broker_never_takes_is_buried_alone(rabbit: Broker) -> None:
    def handle(incoming: Incoming, answer: Answer) -> None:
        size = 5000 if incoming.body == b"7" else 10
        answer(Outcome([Outgoing("", rabbit.topology.match, incoming.body + b" " * size)]))

    put(rabbit, rabbit.topology.deliver, numbered(50))
    with pumping(rabbit, handle):
        wait_for(rabbit, rabbit.topology.dead, 1)
        wait_until(
            lambda: waiting(rabbit, rabbit.topology.match) >= 49, PATIENCE, "the others go on"
        )
    (incoming,) = take(rabbit, rabbit.topology.dead, 1)
    assert incoming.body == b"7"
    assert read_autopsy(incoming.headers, incoming.body).reason == "message-refused"
    assert {int(body) for body in published(rabbit)} == set(range(50)) - {7}
    assert waiting(rabbit, rabbit.topology.deliver) == 0


def test_a_message_whose_letter_is_refused_too_stays_and_keeps_no_pump_from_ending(
    rabbit: Broker, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    put(rabbit, rabbit.topology.deliver, [b" " * 5000])
    request.getfixturevalue("small_messages")
    with pumping(rabbit, onward(rabbit)) as running:
        wait_until(lambda: "its letter is refused" in caplog.text, PATIENCE, "it is given up")
        began = time.monotonic()
        running.stop(within=PATIENCE)
        assert time.monotonic() - began < PATIENCE / 2
    wait_for(rabbit, rabbit.topology.deliver, 1)


def test_a_message_that_ends_its_process_again_and_again_is_buried_by_the_broker(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker
) -> None:
    put(rabbit, rabbit.topology.deliver, [b'{"hook": "order.paid", "listener": 5}'])
    with channel(rabbitmq) as plain:
        for _ in range(51):
            message = None
            while message is None:
                message = plain.basic_get(rabbit.topology.deliver)
            plain.basic_reject(message.delivery_tag, requeue=True)
    wait_for(rabbit, rabbit.topology.dead, 1)
    (incoming,) = take(rabbit, rabbit.topology.dead, 1)
    autopsy = read_autopsy(incoming.headers, incoming.body)
    assert (autopsy.reason, autopsy.source) == ("delivery-limit", rabbit.topology.deliver)
    assert (autopsy.hook, autopsy.listener) == ("order.paid", 5)
    assert autopsy.died > 1_700_000_000


def test_a_pump_without_a_broker_stops_in_its_bound(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = connect.broker("amqp://user:hunter2@127.0.0.1:1//", "")
    with pumping(nowhere, onward(nowhere)) as running:
        wait_until(lambda: "is away" in caplog.text, PATIENCE, "it says so")
        running.stop(within=1.0)
    assert "amqp://user:**@127.0.0.1:1//" in caplog.text
    assert "hunter2" not in caplog.text


def test_acks_and_heartbeats_leave_while_much_is_to_be_handled(
    rabbit: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled, since_flush, longest = 0, 0, 0
    flush = RabbitConsumer.flush

    def count_and_flush(consumer: RabbitConsumer) -> None:
        nonlocal since_flush, longest
        longest, since_flush = max(longest, since_flush), 0
        flush(consumer)

    def slow(incoming: Incoming, answer: Answer) -> None:
        nonlocal handled, since_flush
        time.sleep(0.01)
        handled, since_flush = handled + 1, since_flush + 1
        answer(Outcome())

    monkeypatch.setattr(RabbitConsumer, "flush", count_and_flush)
    put(rabbit, rabbit.topology.deliver, numbered(200))
    with pumping(rabbit, slow, prefetch=200):
        wait_until(lambda: handled == 200, PATIENCE, "all are handled")
        wait_for(rabbit, rabbit.topology.deliver, 0)
    assert longest <= 20


def test_what_nobody_can_read_does_not_stop_the_others(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker
) -> None:
    with channel(rabbitmq) as plain:
        for when in (2**62, 55_000_000_000_000):
            strange = amqp.Message(b"?", timestamp=when)
            plain.basic_publish(strange, "", rabbit.topology.deliver)
    put(rabbit, rabbit.topology.deliver, numbered(20))
    with pumping(rabbit, onward(rabbit)):
        wait_for(rabbit, rabbit.topology.match, 22)
    looked = take(rabbit, rabbit.topology.match, 22)
    assert {incoming.body for incoming in looked} == {b"?", *numbered(20)}

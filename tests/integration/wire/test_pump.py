"""The pump, on both brokers; what only RabbitMQ can do to it is in test_pump_losses.py."""

import logging
import queue
import random
import threading
import time

import pytest

from durian.errors import MessageError, Unavailable
from durian.wire import pump as pump_module
from durian.wire import unhandled
from durian.wire.broker import Broker, Incoming, Outgoing
from durian.wire.dead import Autopsy, read_autopsy
from durian.wire.memory import MemoryBroker, MemoryPublisher
from durian.wire.messages import DeliveryMessage, decode, encode
from durian.wire.outcome import Answer, Done, Handler, Outcome
from durian.wire.publishing import MAX_UNCONFIRMED, publish_all
from durian.wire.pump import TICK_SECONDS
from durian.wire.topology import Topology
from tests.integration.wire.harness import (
    PATIENCE,
    numbered,
    onward,
    pumping,
    put,
    take,
    wait_for,
    waiting,
)
from tests.servers.free import wait_until
from tests.unit.wire.make import delivery


def only_letter(broker: Broker) -> tuple[Incoming, Autopsy]:
    """Return the one dead letter."""
    (incoming,) = take(broker, broker.topology.dead, 1)
    return incoming, read_autopsy(incoming.headers, incoming.body)


def test_each_message_is_handled_published_and_gone(broker: Broker) -> None:
    put(broker, broker.topology.deliver, numbered(300))
    with pumping(broker, onward(broker)):
        wait_for(broker, broker.topology.match, 300)
    published = take(broker, broker.topology.match, 300)
    assert {incoming.body for incoming in published} == set(numbered(300))
    assert waiting(broker, broker.topology.deliver) == 0


@pytest.mark.parametrize("slow", [1, 5, 7])
def test_those_that_take_for_ever_have_no_places_but_their_own(broker: Broker, slow: int) -> None:
    handled: list[bytes] = []

    def handle(incoming: Incoming, answer: Answer) -> None:
        handled.append(incoming.body)
        if int(incoming.body) >= slow:
            answer(Outcome())

    put(broker, broker.topology.deliver, numbered(100))
    with pumping(broker, handle, prefetch=8) as running:
        # Far sooner than if each had to wait for the pump's next look.
        wait_until(lambda: len(handled) == 100, 10 * TICK_SECONDS, "all others are acked")
        running.stop(within=0.1)
    left = take(broker, broker.topology.deliver, slow)
    assert {one.body for one in left} == set(numbered(slow))
    assert waiting(broker, broker.topology.deliver) == 0


def test_a_pump_is_told_how_many_consume_its_queue(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "CENSUS_SECONDS", 0.05)
    told = [0]
    put(broker, broker.topology.deliver, numbered(50))
    with pumping(broker, onward(broker), on_census=told.append):
        wait_until(lambda: told[-1] == 1, PATIENCE, "it is told of itself")
        with pumping(broker, onward(broker)):
            wait_until(lambda: told[-1] == 2, PATIENCE, "it is told of the other one")
        wait_until(lambda: told[-1] == 1, PATIENCE, "it is told that the other one has ended")
        wait_for(broker, broker.topology.match, 50)


def test_answers_may_come_from_any_thread_in_any_order(broker: Broker) -> None:
    taken: queue.Queue[tuple[Incoming, Answer]] = queue.Queue()
    put(broker, broker.topology.deliver, numbered(200))
    with pumping(broker, lambda incoming, answer: taken.put((incoming, answer)), prefetch=200):
        held = [taken.get(timeout=PATIENCE) for _ in range(200)]
        random.Random(1).shuffle(held)

        def answer_some(part: list[tuple[Incoming, Answer]]) -> None:
            for incoming, answer in part:
                answer(Outcome([Outgoing("", broker.topology.match, incoming.body)]))

        threads = [threading.Thread(target=answer_some, args=[held[n::4]]) for n in range(4)]
        for thread in threads:
            thread.start()
        wait_for(broker, broker.topology.match, 200)
    assert waiting(broker, broker.topology.deliver) == 0
    published = take(broker, broker.topology.match, 200)
    assert {incoming.body for incoming in published} == set(numbered(200))


def test_a_message_is_acked_only_after_it_was_recorded(broker: Broker) -> None:
    recorded: queue.Queue[Done] = queue.Queue()

    def handle(incoming: Incoming, answer: Answer) -> None:
        answer(Outcome([Outgoing("", broker.topology.match, b"")], record=recorded.put))

    put(broker, broker.topology.deliver, [b"1"])
    with pumping(broker, handle) as running:
        done = recorded.get(timeout=PATIENCE)
        # It is recorded after what it led to is confirmed.
        assert waiting(broker, broker.topology.match) == 1
        running.stop(within=0.2)
    wait_for(broker, broker.topology.deliver, 1)
    done()
    with pumping(broker, handle):
        recorded.get(timeout=PATIENCE)()
        wait_for(broker, broker.topology.match, 2)
    assert waiting(broker, broker.topology.deliver) == 0


def test_what_publishes_nothing_is_recorded_while_it_is_answered(broker: Broker) -> None:
    taken: queue.Queue[Answer] = queue.Queue()
    recorded: list[Done] = []
    put(broker, broker.topology.deliver, [b"1"])
    with pumping(broker, lambda incoming, answer: taken.put(answer)) as running:
        answer = taken.get(timeout=PATIENCE)
        answer(Outcome(record=recorded.append))
        # No thread had to wake up for it, and a second answer counts no more than after publishing.
        assert len(recorded) == 1
        answer(Outcome(record=recorded.append))
        assert len(recorded) == 1
        recorded[0]()
        running.stop()
    assert waiting(broker, broker.topology.deliver) == 0


def test_a_handler_that_raises_buries_its_message_and_goes_on(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(incoming: Incoming, answer: Answer) -> None:
        if incoming.body == b"bad":
            raise ZeroDivisionError("so it goes")
        onward(broker)(incoming, answer)

    put(broker, broker.topology.deliver, [b"bad", b"good"])
    with pumping(broker, handle):
        wait_for(broker, broker.topology.match, 1)
        wait_for(broker, broker.topology.dead, 1)
    incoming, autopsy = only_letter(broker)
    assert incoming.body == b"bad"
    assert (autopsy.reason, autopsy.detail) == ("handler-error", "ZeroDivisionError: so it goes")
    assert autopsy.source == broker.topology.deliver
    assert waiting(broker, broker.topology.deliver) == 0
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_an_error_whose_text_cannot_be_sent_is_buried_all_the_same(broker: Broker) -> None:
    def handle(incoming: Incoming, answer: Answer) -> None:
        raise RuntimeError("\ud800" * 100_000)

    put(broker, broker.topology.deliver, [b"1"])
    with pumping(broker, handle):
        wait_for(broker, broker.topology.dead, 1)
    assert only_letter(broker)[1].reason == "handler-error"


class Refused(MessageError):
    reason = "not-wanted"


def test_the_letter_bears_the_reason_of_the_error(broker: Broker) -> None:
    def handle(incoming: Incoming, answer: Answer) -> None:
        raise Refused("is not wanted here")

    put(broker, broker.topology.deliver, [b"1"])
    with pumping(broker, handle):
        wait_for(broker, broker.topology.dead, 1)
    autopsy = only_letter(broker)[1]
    assert (autopsy.reason, autopsy.detail) == ("not-wanted", "The message is not wanted here")


def reading(broker: Broker) -> "Handler":
    def handle(incoming: Incoming, answer: Answer) -> None:
        decode(DeliveryMessage, incoming.body)
        onward(broker)(incoming, answer)

    return handle


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{not JSON", "malformed"),
        (b'{"version": "1.0", "hook": "x"}', "required field `id`"),
        (b"\x00\xff", "is no DeliveryMessage in JSON"),
    ],
)
def test_what_cannot_be_read_is_buried_as_it_was(broker: Broker, body: bytes, said: str) -> None:
    put(broker, broker.topology.deliver, [body, encode(delivery())])
    with pumping(broker, reading(broker)):
        wait_for(broker, broker.topology.match, 1)
        wait_for(broker, broker.topology.dead, 1)
    incoming, autopsy = only_letter(broker)
    assert incoming.body == body
    assert autopsy.reason == "malformed"
    assert said in autopsy.detail


def test_an_unknown_version_waits_for_a_newer_process(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unhandled, "MAX_PARKED", 1000)
    newer = encode(delivery()).replace(b'"1.0"', b'"2.0"')
    put(broker, broker.topology.deliver, [newer])
    looks: list[str] = []

    def handle(incoming: Incoming, answer: Answer) -> None:
        looks.append(incoming.message_id)
        reading(broker)(incoming, answer)

    with pumping(broker, handle):
        wait_until(lambda: len(looks) >= 3, PATIENCE, "it comes back from its rest")
    with pumping(broker, onward(broker)):  # The newer process.
        wait_for(broker, broker.topology.match, 1)
    (incoming,) = take(broker, broker.topology.match, 1)
    assert incoming.body == newer
    assert len(set(looks)) == 1
    assert waiting(broker, broker.topology.dead) == 0


def test_a_version_that_stays_unknown_is_dead_in_the_end(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unhandled, "MAX_PARKED", 2)
    newer = encode(delivery()).replace(b'"1.0"', b'"2.0"')
    put(broker, broker.topology.deliver, [newer])
    looks: list[float] = []

    def handle(incoming: Incoming, answer: Answer) -> None:
        looks.append(time.monotonic())
        reading(broker)(incoming, answer)

    with pumping(broker, handle):
        wait_for(broker, broker.topology.dead, 1)
    incoming, autopsy = only_letter(broker)
    assert incoming.body == newer
    assert autopsy.reason == "unknown-version"
    assert "version 2" in autopsy.detail
    assert len(looks) == 3
    # It rested in between: the step is a quarter of a second.
    assert looks[2] - looks[0] >= 0.45


def test_a_forged_count_of_rests_does_no_harm(broker: Broker) -> None:
    newer = encode(delivery()).replace(b'"1.0"', b'"2.0"')
    publisher = broker.publisher()
    forged = Outgoing("", broker.topology.deliver, newer, headers={"durian-parked": "many"})
    publish_all(publisher, [forged])
    with pumping(broker, reading(broker)):
        wait_for(broker, broker.topology.dead, 1)
    publisher.close()
    assert only_letter(broker)[1].reason == "unknown-version"


def test_what_is_away_holds_messages_without_giving_them_back(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    away = threading.Event()
    away.set()
    tried: list[Incoming] = []

    def handle(incoming: Incoming, answer: Answer) -> None:
        tried.append(incoming)
        if away.is_set():
            raise Unavailable("The database is away.")
        onward(broker)(incoming, answer)

    put(broker, broker.topology.deliver, numbered(50))
    began = time.monotonic()
    with pumping(broker, handle):
        wait_until(lambda: len(tried) >= 201, PATIENCE, "they are tried a fifth time")
        took = time.monotonic() - began
        # At once, after 0.1 seconds at least, 0.2, and 0.4; and one line a second is logged.
        assert took > 0.7
        assert sum("away" in record.message for record in caplog.records) <= took + 1
        away.clear()
        wait_for(broker, broker.topology.match, 50)
    assert not any(incoming.redelivered for incoming in tried)
    assert waiting(broker, broker.topology.deliver) == 0
    assert waiting(broker, broker.topology.dead) == 0


def test_one_message_that_is_always_held_does_not_hold_the_others_for_ever(
    broker: Broker,
) -> None:
    def handle(incoming: Incoming, answer: Answer) -> None:
        if incoming.body == b"0":
            raise Unavailable("This one's database is away.")
        onward(broker)(incoming, answer)

    put(broker, broker.topology.deliver, numbered(50))
    with pumping(broker, handle):
        wait_for(broker, broker.topology.match, 49)
    wait_for(broker, broker.topology.deliver, 1)


def test_stopping_finishes_what_is_in_flight_and_returns_the_rest(broker: Broker) -> None:
    taken: queue.Queue[tuple[Incoming, Answer]] = queue.Queue()
    put(broker, broker.topology.deliver, numbered(100))
    with pumping(
        broker, lambda incoming, answer: taken.put((incoming, answer)), prefetch=10
    ) as running:
        held = [taken.get(timeout=PATIENCE) for _ in range(10)]
        running.pump.stop(within=20.0)
        for incoming, answer in held:
            answer(Outcome([Outgoing("", broker.topology.match, incoming.body)]))
        running.thread.join(10.0)
        assert not running.thread.is_alive(), "it waits though nothing is in flight"
    assert taken.empty()
    wait_for(broker, broker.topology.match, 10)
    wait_for(broker, broker.topology.deliver, 90)


@pytest.mark.parametrize("unanswered", [0, 3])
def test_stopping_does_not_wait_for_the_next_look(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, unanswered: int
) -> None:
    monkeypatch.setattr(pump_module, "TICK_SECONDS", 2 * PATIENCE)
    taken: queue.Queue[Incoming] = queue.Queue()
    put(broker, broker.topology.deliver, numbered(unanswered))
    with pumping(broker, lambda incoming, _: taken.put(incoming)) as running:
        for _ in range(unanswered):
            taken.get(timeout=PATIENCE)
        running.pump.stop(within=0.5 if unanswered else 2 * PATIENCE)
        running.thread.join(PATIENCE)
        assert not running.thread.is_alive()


def test_stopping_does_not_wait_for_a_handler_that_never_answers(broker: Broker) -> None:
    put(broker, broker.topology.deliver, numbered(3))
    taken: queue.Queue[tuple[Incoming, Answer]] = queue.Queue()
    with pumping(broker, lambda incoming, answer: taken.put((incoming, answer))) as running:
        held = [taken.get(timeout=PATIENCE) for _ in range(3)]
        began = time.monotonic()
        running.stop(within=0.5)
        assert 0.4 < time.monotonic() - began < 3.0
    wait_for(broker, broker.topology.deliver, 3)
    # An answer that comes too late harms nobody.
    for _, answer in held:
        answer(Outcome())


def test_what_is_answered_too_late_is_given_back_and_not_published_too(broker: Broker) -> None:
    taken: queue.Queue[tuple[Incoming, Answer]] = queue.Queue()
    put(broker, broker.topology.deliver, numbered(3))
    with pumping(broker, lambda incoming, answer: taken.put((incoming, answer))) as running:
        held = [taken.get(timeout=PATIENCE) for _ in range(3)]
        for incoming, answer in held:
            running.pump.stop(within=0.0)
            answer(Outcome([Outgoing("", broker.topology.match, incoming.body)]))
        running.thread.join(PATIENCE)
    wait_for(broker, broker.topology.deliver, 3)
    assert waiting(broker, broker.topology.match) == 0


def test_a_handler_that_answers_and_then_raises_counts_once(broker: Broker) -> None:
    def handle(incoming: Incoming, answer: Answer) -> None:
        onward(broker)(incoming, answer)
        answer(Outcome([Outgoing("", broker.topology.match, b"again")]))
        raise RuntimeError("after the answer")

    put(broker, broker.topology.deliver, numbered(20))
    with pumping(broker, handle):
        wait_for(broker, broker.topology.match, 20)
    assert waiting(broker, broker.topology.deliver) == 0
    assert waiting(broker, broker.topology.dead) == 0


def test_an_idle_pump_sleeps(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "durian")
    handled = threading.Event()

    def handle(incoming: Incoming, answer: Answer) -> None:
        answer(Outcome())
        handled.set()

    with pumping(broker, handle):
        put(broker, broker.topology.deliver, [b"1"])
        assert handled.wait(PATIENCE)
        began = time.process_time()
        time.sleep(1.0)
        assert time.process_time() - began < 0.3
    assert len(caplog.records) < 5


def test_while_the_broker_takes_nothing_no_more_is_made_of_what_has_arrived() -> None:
    broker = MemoryBroker(Topology("crowd."))
    handled: list[bytes] = []
    made = MAX_UNCONFIRMED

    def handler(incoming: Incoming, answer: Answer) -> None:
        handled.append(incoming.body)
        answer(Outcome([Outgoing("", broker.topology.match, b"x")] * made))

    put(broker, broker.topology.deliver, numbered(20))
    blocked = pytest.MonkeyPatch()
    blocked.setattr(MemoryPublisher, "blocked", True)
    with pumping(broker, handler):
        wait_until(lambda: handled, PATIENCE, "the first message is handled")
        # All 20 have been consumed by then, in one turn.
        wait_until(lambda: waiting(broker, broker.topology.deliver) == 0, PATIENCE, "all are taken")
        assert len(handled) <= 2
        blocked.undo()
        wait_for(broker, broker.topology.match, 20 * made)
    assert handled == numbered(20)

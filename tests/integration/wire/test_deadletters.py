"""Walking through the dead letters."""

import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from durian.errors import TopologyError, Unavailable
from durian.wire import connect, deadletters
from durian.wire.broker import Broker, Consumer, Incoming, Outgoing, QueueState
from durian.wire.dead import Autopsy, letter
from durian.wire.deadletters import Leave, Letter, Walk, revived
from durian.wire.messages import DeliveryMessage, EventMessage, decode, encode
from durian.wire.publishing import publish_all
from tests.integration.wire.harness import (
    PATIENCE,
    channel,
    numbered,
    put,
    take,
    wait_for,
    waiting,
)
from tests.servers.free import wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.servers.tcp_proxy import TcpProxy
from tests.unit.wire.make import delivery, event


def bury(broker: Broker, bodies: list[bytes], source: str = "", reason: str = "gone") -> None:
    """Put dead letters of `bodies` on the broker."""
    names = broker.topology
    publisher = broker.publisher()
    publish_all(
        publisher,
        (
            letter(
                names,
                Incoming(0, body, {}, False, source or names.deliver),
                Autopsy(reason=reason, event=f"event-{number}"),
            )
            for number, body in enumerate(bodies)
        ),
    )
    publisher.close()
    wait_for(broker, names.dead, len(bodies))


def alone(broker: Broker) -> bool:
    """Say whether nobody looks into the dead letters any more."""
    return not any(s.consumers for s in broker.states() if s.name == broker.topology.dead)


def see(broker: Broker) -> list[bytes]:
    """Return the bodies of all dead letters, in order, and leave them there."""
    return look_at(broker)[1]


def look_at(broker: Broker, most: int = sys.maxsize) -> tuple[Walk, list[bytes]]:
    """Return a walk through `most` letters, which stay there, and the bodies of these."""
    wait_until(lambda: alone(broker), PATIENCE, "the last walk has ended")
    seen: list[bytes] = []

    def look(letter: Letter) -> Leave:
        seen.append(letter.body)
        return Leave.IN_PLACE

    walk = Walk(broker, look, most=most)
    walk.run()
    return walk, seen


def test_an_empty_queue_is_no_walk(broker: Broker) -> None:
    assert see(broker) == []


def test_looking_keeps_every_letter_and_the_order(broker: Broker) -> None:
    bury(broker, numbered(500))
    for _ in range(3):
        assert see(broker) == numbered(500)


def test_who_wants_the_first_letters_is_given_no_more(broker: Broker) -> None:
    bury(broker, numbered(500))
    for _ in range(2):
        walk, seen = look_at(broker, most=10)
        assert (walk.seen, walk.total) == (10, 500)
        assert seen == numbered(500)[:10]
    assert see(broker) == numbered(500)


def test_a_letter_says_why_it_is_dead(broker: Broker) -> None:
    bury(broker, [encode(delivery())], reason="exhausted")
    letters: list[Letter] = []

    def keep(letter: Letter) -> Leave:
        letters.append(letter)
        return Leave.IN_PLACE

    Walk(broker, keep).run()
    (found,) = letters
    assert (found.autopsy.reason, found.autopsy.event) == ("exhausted", "event-0")
    assert (found.autopsy.source, found.autopsy.hook) == (broker.topology.deliver, "order.paid")
    assert len(found.id) == 12


def test_a_message_without_an_id_gets_one_that_stays(broker: Broker) -> None:
    publisher = broker.publisher()
    publish_all(publisher, [Outgoing("", broker.topology.dead, body) for body in (b"1", b"2")])
    publisher.close()
    ids: list[str] = []

    def keep(letter: Letter) -> Leave:
        ids.append(letter.id)
        return Leave.IN_PLACE

    for _ in range(2):
        wait_until(lambda: alone(broker), PATIENCE, "the last walk has ended")
        Walk(broker, keep).run()
    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2


def test_some_are_discarded_and_the_others_stay_in_order(broker: Broker) -> None:
    bury(broker, numbered(100))
    Walk(
        broker, lambda letter: Leave.DISCARDED if int(letter.body) % 3 == 0 else Leave.IN_PLACE
    ).run()
    assert see(broker) == [body for body in numbered(100) if int(body) % 3]


def test_a_replay_moves_each_letter_and_starts_the_attempts_anew(broker: Broker) -> None:
    tired = delivery(attempt=8, first_attempt=1.0, not_before=5.0, delay=4.0, reserved=True)
    bury(broker, [encode(tired)] * 3)
    Walk(broker, lambda letter: revived(broker.topology, letter)).run()
    again = [
        decode(DeliveryMessage, incoming.body)
        for incoming in take(broker, broker.topology.deliver, 3)
    ]
    assert see(broker) == []
    for one in again:
        # The receiver sees the same webhook-id; the log sees another run.
        assert (one.event, one.id, one.body) == (tired.event, tired.id, tired.body)
        assert (one.attempt, one.first_attempt, one.not_before, one.reserved) == (1, 0, 0, False)
    assert len({one.run for one in again} | {tired.run}) == 4


def test_what_an_interrupted_walk_has_replayed_is_no_letter_any_more(broker: Broker) -> None:
    bury(broker, numbered(60))

    def until_the_fortieth(letter: Letter) -> Leave | Outgoing:
        if letter.body == b"40":
            raise KeyboardInterrupt
        return Outgoing("", broker.topology.deliver, letter.body)

    with pytest.raises(KeyboardInterrupt):
        Walk(broker, until_the_fortieth).run()
    replayed = {one.body for one in take(broker, broker.topology.deliver, 40)}
    assert replayed == set(numbered(40))
    wait_until(lambda: alone(broker), PATIENCE, "the walk has ended")
    assert see(broker) == numbered(60)[40:]


def test_an_event_goes_back_to_the_matchers_as_it_was(broker: Broker) -> None:
    body = encode(event())
    bury(broker, [body], source=broker.topology.match)
    Walk(broker, lambda letter: revived(broker.topology, letter)).run()
    (incoming,) = take(broker, broker.topology.match, 1)
    assert decode(EventMessage, incoming.body) == decode(EventMessage, body)


def test_what_cannot_be_read_goes_back_as_it_was(broker: Broker) -> None:
    newer = encode(delivery()).replace(b'"1.0"', b'"2.0"')
    bury(broker, [newer])
    Walk(broker, lambda letter: revived(broker.topology, letter)).run()
    assert [one.body for one in take(broker, broker.topology.deliver, 1)] == [newer]


def test_a_letter_without_a_way_back_stays_and_the_others_go(broker: Broker) -> None:
    bury(broker, numbered(50))

    def replay(letter: Letter) -> Outgoing:
        queue = "nowhere" if letter.body == b"7" else broker.topology.match
        return Outgoing("", queue, letter.body)

    with pytest.raises(TopologyError, match="nowhere"):
        Walk(broker, replay).run()
    assert see(broker) == [b"7"]
    assert waiting(broker, broker.topology.match) == 49


def test_a_letter_that_is_too_large_stays_alone_and_none_goes_twice(
    rabbit: Broker, request: pytest.FixtureRequest
) -> None:
    large = [b"large".ljust(3000), b"larger".ljust(4000)]
    few = numbered(30)
    bury(rabbit, [*few[:10], large[0], *few[10:20], large[1], *few[20:]])
    request.getfixturevalue("small_messages")
    walk = Walk(rabbit, lambda letter: Outgoing("", rabbit.topology.match, letter.body))
    walk.run()
    assert [one.size for one in walk.kept] == [3000, 4000]
    assert all("size" in one.reason for one in walk.kept)
    assert waiting(rabbit, rabbit.topology.match) == 30
    assert {one.body for one in take(rabbit, rabbit.topology.match, 30)} == set(few)
    assert see(rabbit) == large


def test_a_letter_that_amqp_cannot_carry_stays_alone_and_none_goes_twice(rabbit: Broker) -> None:
    bury(rabbit, numbered(50))

    def replay(letter: Letter) -> Outgoing:
        name = "i" * 300 if letter.body in (b"7", b"30") else ""
        return Outgoing("", rabbit.topology.match, letter.body, name)

    walk = Walk(rabbit, replay)
    walk.run()
    assert ["AMQP cannot carry" in one.reason for one in walk.kept] == [True, True]
    assert see(rabbit) == [b"7", b"30"]
    assert waiting(rabbit, rabbit.topology.match) == 48


def test_letters_that_die_during_the_walk_are_left_for_the_next(broker: Broker) -> None:
    bury(broker, numbered(20))
    seen: list[bytes] = []

    def look(letter: Letter) -> Leave:
        if not seen:
            put(broker, broker.topology.dead, [b"late"] * 5)
        seen.append(letter.body)
        return Leave.DISCARDED

    Walk(broker, look).run()
    assert seen == numbered(20)
    assert see(broker) == [b"late"] * 5


def test_a_visitor_that_fails_leaves_all_in_place(broker: Broker) -> None:
    bury(broker, numbered(20))

    def fail(letter: Letter) -> Leave:
        if letter.body == b"5":
            raise OSError("The disk is full.")
        return Leave.IN_PLACE

    with pytest.raises(OSError, match="The disk is full") as caught:
        Walk(broker, fail).run()
    assert not isinstance(caught.value, Unavailable)
    assert see(broker) == numbered(20)


def test_progress_ends_at_the_total(broker: Broker) -> None:
    bury(broker, numbered(20))
    told: list[tuple[int, int]] = []
    walk = Walk(broker, lambda letter: Leave.IN_PLACE)
    walk.run(lambda seen, total: told.append((seen, total)))
    assert told[-1] == (20, 20)
    assert (walk.seen, walk.total) == (20, 20)


def test_a_walk_may_be_bounded_in_time(broker: Broker) -> None:
    bury(broker, numbered(2000))

    def slow(letter: Letter) -> Leave:
        time.sleep(0.005)
        return Leave.IN_PLACE

    walk = Walk(broker, slow, seconds=0.5)
    began = time.monotonic()
    walk.run()
    assert time.monotonic() - began < 3.0
    assert 0 < walk.seen < 2000
    assert see(broker) == numbered(2000)


def test_a_walk_that_stalls_says_how_far_it_came(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadletters, "IDLE_SECONDS", 1.0)
    bodies = [body.ljust(1000) for body in numbered(3000)]
    bury(rabbit, bodies)
    proxy = TcpProxy(rabbitmq.port)
    proxy.rate = 500_000

    def hold_up(letter: Letter) -> Leave:
        proxy.hole.set()
        return Leave.IN_PLACE

    behind = rabbitmq.url.replace(str(rabbitmq.port), str(proxy.port))
    walk = Walk(connect.broker(behind, rabbit.topology.prefix), hold_up)
    try:
        with pytest.raises(Unavailable, match=r"gave \d+ of 3000 dead letters.*; try again"):
            walk.run()
    finally:
        proxy.close()
        proxy.hole.clear()
    assert 0 < walk.seen < 3000
    assert see(rabbit) == bodies


def test_only_one_walks_at_a_time(broker: Broker) -> None:
    bury(broker, numbered(3))
    inside, go_on = threading.Event(), threading.Event()

    def wait(letter: Letter) -> Leave:
        inside.set()
        go_on.wait(PATIENCE)
        return Leave.IN_PLACE

    first = Walk(broker, wait)
    thread = threading.Thread(target=first.run)
    thread.start()
    assert inside.wait(PATIENCE)
    with pytest.raises(Unavailable, match="Somebody else"):
        Walk(broker, lambda letter: Leave.DISCARDED).run()
    go_on.set()
    thread.join(PATIENCE)
    assert see(broker) == numbered(3)


def test_of_two_walks_that_begin_together_one_gives_up(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(broker, numbered(3))
    states = broker.states
    others: list[Consumer] = []

    def states_before_another_begins() -> list[QueueState]:
        found = states()
        if not others:
            others.append(broker.consumer(broker.topology.dead, 1, lambda incoming: None))
        return found

    monkeypatch.setattr(broker, "states", states_before_another_begins)
    with pytest.raises(Unavailable, match="Somebody else"):
        Walk(broker, lambda letter: Leave.DISCARDED).run()
    others[0].close()
    assert sorted(see(broker)) == numbered(3)


def test_a_queue_that_does_not_answer_in_time_is_no_empty_one(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(rabbit, numbered(3))
    states = rabbit.states
    asked: list[int] = []

    def states_of_a_busy_queue() -> list[QueueState]:
        if asked:
            tell(rabbitmq, rabbit.topology.dead, "resume")
        found = states()
        asked.append(found[0].messages)
        return found

    tell(rabbitmq, rabbit.topology.dead, "suspend")
    monkeypatch.setattr(rabbit, "states", states_of_a_busy_queue)
    walk = Walk(rabbit, lambda letter: Leave.IN_PLACE)
    try:
        walk.run()
    finally:
        tell(rabbitmq, rabbit.topology.dead, "resume")
    assert (asked[0], walk.seen) == (0, 3)


def tell(server: PrivateRabbitMQ, queue: str, what: str) -> None:
    """Let the process of `queue` "suspend" its work, or "resume" it."""
    find = f'rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>))'
    server.ctl("eval", f"{{ok, Q}} = {find}, sys:{what}(amqqueue:get_pid(Q)).")


def test_a_walk_that_does_not_know_whether_it_is_alone_changes_nothing(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(broker, numbered(3))
    monkeypatch.setattr(deadletters, "IDLE_SECONDS", 0.1)
    states = broker.states
    monkeypatch.setattr(broker, "states", lambda: [replace(s, consumers=0) for s in states()])
    with pytest.raises(Unavailable, match="does not say who looks"):
        Walk(broker, lambda letter: Leave.DISCARDED).run()
    monkeypatch.setattr(broker, "states", states)
    assert see(broker) == numbered(3)


def test_more_letters_than_one_consumer_may_hold_are_all_seen(rabbit: Broker) -> None:
    count = 66_000
    bury(rabbit, numbered(count))
    seen = see(rabbit)
    assert sorted(seen, key=int) == numbered(count)
    wait_for(rabbit, rabbit.topology.dead, count)
    with_time = Walk(rabbit, lambda letter: Leave.IN_PLACE, seconds=0.5)
    wait_until(lambda: alone(rabbit), PATIENCE, "the last walk has ended")
    began = time.monotonic()
    with_time.run()
    assert time.monotonic() - began < 10.0
    assert with_time.seen < count
    wait_for(rabbit, rabbit.topology.dead, count)


def test_a_letter_survives_any_number_of_looks(rabbitmq: PrivateRabbitMQ, rabbit: Broker) -> None:
    bury(rabbit, [b"1"])
    with channel(rabbitmq) as plain:
        for _ in range(120):
            message = None
            while message is None:
                message = plain.basic_get(rabbit.topology.dead)
            plain.basic_reject(message.delivery_tag, requeue=True)
    assert see(rabbit) == [b"1"]


REPLAY = """
import sys
from durian.wire.connect import broker
from durian.wire.broker import Outgoing
from durian.wire.deadletters import Walk

rabbit = broker(sys.argv[1], sys.argv[2])

def replay(letter):
    print(flush=True)
    return Outgoing("", rabbit.topology.match, letter.body)

Walk(rabbit, replay).run()
"""


def test_a_replay_that_is_killed_loses_nothing(rabbitmq: PrivateRabbitMQ, rabbit: Broker) -> None:
    bury(rabbit, numbered(3000))
    for rounds in (500, 1500):
        arguments = [sys.executable, "-c", REPLAY, rabbitmq.url, rabbit.topology.prefix]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(rounds):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        wait_until(lambda: alone(rabbit), PATIENCE, "the broker noticed")
    kept = see(rabbit)
    moved = waiting(rabbit, rabbit.topology.match)
    assert 0 < len(kept) < 3000
    there = {incoming.body for incoming in take(rabbit, rabbit.topology.match, moved)}
    assert there | set(kept) == set(numbered(3000))

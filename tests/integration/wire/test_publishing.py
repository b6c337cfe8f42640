"""Confirms, refusals and alarms of RabbitMQ, as publishers see them."""

import logging
import os
import time
from collections.abc import Iterator
from functools import partial

import pytest

from durian.errors import MessageRefused, TopologyError, Unavailable
from durian.wire import connect
from durian.wire.broker import Broker, Outgoing
from durian.wire.publishing import publish_all, wait_settled
from durian.wire.sender import Sender
from durian.wire.wakeup import wait_readable
from tests.integration.wire.harness import (
    PATIENCE,
    channel,
    numbered,
    take,
    wait_for,
    waiting,
)
from tests.servers.free import wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ


class Sending:
    """A Sender, and what was confirmed and refused."""

    def __init__(self, broker: Broker) -> None:
        self.sender = Sender(broker)
        self.confirmed: list[str] = []
        self.refused: list[MessageRefused] = []

    def send(self, *messages: Outgoing) -> None:
        for message in messages:
            confirmed = partial(self.confirmed.append, message.message_id)
            self.sender.send(message, confirmed, self.refused.append)

    def turn(self) -> bool:
        self.sender.turn()
        wait_readable(self.sender.sources(), 0.05)
        return self.sender.idle

    def until_idle(self) -> None:
        wait_until(self.turn, PATIENCE, "everything is confirmed", every=0)
        self.sender.close()


def messages(queue: str, count: int, size: int = 0) -> list[Outgoing]:
    return [Outgoing("", queue, body + b" " * size, body.decode()) for body in numbered(count)]


def test_every_confirm_names_its_message(broker: Broker) -> None:
    confirmed: list[str] = []
    publisher = broker.publisher()
    publish_all(
        publisher,
        messages(broker.topology.deliver, 3000),
        lambda message: confirmed.append(message.message_id),
    )
    publisher.close()
    assert sorted(confirmed, key=int) == [str(number) for number in range(3000)]
    assert len(take(broker, broker.topology.deliver, 3000)) == 3000


def test_headers_and_ids_arrive_as_they_were(broker: Broker) -> None:
    publisher = broker.publisher()
    headers = {"durian-parked": 3, "text": "ü", "nested": {"list": [1, "two"]}}
    publish_all(publisher, [Outgoing("", broker.topology.deliver, b"\x00\xff", "id-1", headers)])
    publisher.close()
    (incoming,) = take(broker, broker.topology.deliver, 1)
    assert (incoming.body, incoming.message_id, incoming.headers) == (b"\x00\xff", "id-1", headers)


def test_events_reach_the_matchers_by_their_hook(broker: Broker) -> None:
    publisher = broker.publisher()
    publish_all(publisher, [Outgoing(broker.topology.events, "order.line.paid", b"{}")])
    publisher.close()
    assert waiting(broker, broker.topology.match) == 1


def test_a_message_for_no_queue_is_refused_with_the_remedy_and_alone(rabbit: Broker) -> None:
    lost = Outgoing("", "nowhere", b"", "lost")
    confirmed: list[str] = []
    publisher = rabbit.publisher()
    with pytest.raises(TopologyError, match=r"No queue takes .*'nowhere'.*durian topology"):
        publish_all(
            publisher,
            [lost, *messages(rabbit.topology.deliver, 100)],
            lambda message: confirmed.append(message.message_id),
        )
    publisher.close()
    # The fate of the others is known.
    assert len(confirmed) == 100
    assert waiting(rabbit, rabbit.topology.deliver) == 100


def test_an_event_that_no_queue_takes_is_no_success(
    rabbitmq: PrivateRabbitMQ, amqp_prefix: str
) -> None:
    broker = connect.broker(rabbitmq.url, amqp_prefix)
    publisher = broker.publisher()
    with pytest.raises(TopologyError, match="durian topology"):
        publish_all(publisher, [Outgoing(broker.topology.events, "order.paid", b"{}")])
    publisher.close()


@pytest.fixture
def full(rabbitmq: PrivateRabbitMQ, rabbit: Broker) -> Iterator[str]:
    """A queue of somebody else's, bound to the public exchange, that takes nothing more."""
    name = rabbit.topology.prefix + "full"
    with channel(rabbitmq) as plain:
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        plain.queue_declare(name, durable=True, auto_delete=False, arguments=arguments)
        plain.queue_bind(name, rabbit.topology.public, "#")
        yield name
        plain.queue_delete(name)


def test_a_full_queue_of_somebody_else_holds_up_nothing(
    rabbit: Broker, full: str, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = rabbit.publisher()
    optional = Outgoing(rabbit.topology.public, "order.paid", b"{}", mandatory=False)
    publish_all(publisher, [optional] * 200)
    assert publisher.pending == 0
    publisher.close()
    # It is said, and not once for each event.
    assert len(caplog.records) == 1
    assert "refuses events" in caplog.text


def test_what_a_queue_refuses_is_published_again_until_it_takes_it(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker, full: str
) -> None:
    sending = Sending(rabbit)
    sending.send(*messages(full, 3), *messages(rabbit.topology.deliver, 50))
    wait_until(
        lambda: sending.turn() or len(sending.confirmed) > 50, PATIENCE, "the others arrive", 0
    )
    assert not sending.sender.idle
    with channel(rabbitmq) as plain:

        def emptied() -> bool:
            plain.queue_purge(full)
            return sending.turn()

        wait_until(emptied, PATIENCE, "all were taken", every=0)
    sending.sender.close()
    assert sorted(sending.confirmed) == sorted(
        [str(number) for number in range(50)] + ["0", "1", "2"]
    )
    assert waiting(rabbit, rabbit.topology.deliver) == 50


@pytest.mark.usefixtures("small_messages")
def test_a_message_that_is_too_large_is_refused_for_it(rabbit: Broker) -> None:
    publisher = rabbit.publisher()
    with pytest.raises(MessageRefused, match=r"size .*2000"):
        publish_all(publisher, messages(rabbit.topology.deliver, 1, size=3000))
    publisher.close()


@pytest.mark.parametrize(
    "message",
    [
        Outgoing("", "q" * 300, b"{}"),
        Outgoing("", "q", b"{}", "i" * 300),
        Outgoing("", "q", b"{}", headers={"x": 10**30}),
        Outgoing("", "q", b"{}", headers={"x": object()}),
    ],
)
def test_what_amqp_cannot_carry_is_refused(rabbit: Broker, message: Outgoing) -> None:
    publisher = rabbit.publisher()
    with pytest.raises(MessageRefused, match="AMQP cannot carry"):
        publish_all(publisher, [message])
    publisher.close()


def test_the_sender_tells_which_message_is_refused_and_sends_the_others(rabbit: Broker) -> None:
    sending = Sending(rabbit)
    bad = Outgoing("", "q" * 300, b"{}", "bad")
    good = messages(rabbit.topology.deliver, 100)
    sending.send(*good[:50], bad, *good[50:], bad)
    sending.until_idle()
    assert len(sending.refused) == 2
    assert sorted(sending.confirmed, key=int) == [str(number) for number in range(100)]


def test_a_memory_alarm_makes_publishing_wait(rabbitmq: PrivateRabbitMQ, rabbit: Broker) -> None:
    sending = Sending(rabbit)
    sending.send(*messages(rabbit.topology.deliver, 1))
    wait_until(sending.turn, PATIENCE, "it is connected", every=0)
    rabbitmq.ctl("set_vm_memory_high_watermark", "0")
    try:
        sending.send(*messages(rabbit.topology.deliver, 2000, size=1000))
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            sending.turn()
        assert len(sending.confirmed) < 2001
    finally:
        rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
    sending.until_idle()
    assert len(sending.confirmed) == 2001


def test_an_alarm_is_told_as_blocked_and_as_a_time_out(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker
) -> None:
    publisher = rabbit.publisher()
    rabbitmq.ctl("set_vm_memory_high_watermark", "0")
    try:
        with pytest.raises(Unavailable, match="confirmed nothing for 1 s"):
            publish_all(publisher, messages(rabbit.topology.deliver, 1), timeout=1.0)
        assert publisher.blocked
    finally:
        rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
    wait_settled(publisher, 0, PATIENCE)
    assert not publisher.blocked
    publisher.close()


def test_a_lost_connection_is_told_and_what_was_confirmed_is_known(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker
) -> None:
    publisher = rabbit.publisher()
    publish_all(publisher, messages(rabbit.topology.deliver, 1))
    rabbitmq.ctl("close_all_connections", "test")
    with pytest.raises(Unavailable):
        publish_all(publisher, messages(rabbit.topology.deliver, 1))
    publisher.close()


def test_no_connection_leaves_a_descriptor_behind(rabbit: Broker) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    def connect_in_vain() -> None:
        with pytest.raises(TopologyError):
            rabbit.consumer("nowhere", 1, lambda incoming: None)
        rabbit.publisher().close()
        rabbit.consumer(rabbit.topology.match, 1, lambda incoming: None).close()

    connect_in_vain()
    before = open_files()
    for _ in range(10):
        connect_in_vain()
    assert open_files() <= before


def test_the_next_node_is_tried_when_one_is_away(
    rabbitmq: PrivateRabbitMQ, rabbit: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "durian")
    urls = f"amqp://user:hunter2@127.0.0.1:1//;{rabbitmq.url}"
    broker = connect.broker(urls, rabbit.topology.prefix)
    publisher = broker.publisher()
    publish_all(publisher, messages(broker.topology.deliver, 1))
    publisher.close()
    wait_for(rabbit, rabbit.topology.deliver, 1)
    assert "hunter2" not in caplog.text


def test_a_wrong_password_is_told_without_it(rabbitmq: PrivateRabbitMQ) -> None:
    broker = connect.broker(f"amqp://guest:hunter2@127.0.0.1:{rabbitmq.port}//", "")
    with pytest.raises(Unavailable, match=r"amqp://guest:\*\*@.*ACCESS_REFUSED") as caught:
        broker.publisher()
    assert "hunter2" not in str(caught.value)

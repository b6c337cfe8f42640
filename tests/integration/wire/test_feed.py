"""The public exchange: fed beside the pipeline, whatever is the matter with it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import amqp
import pytest

from durian.wire.broker import Outgoing
from durian.wire.feed import Feed
from durian.wire.rabbitmq import RabbitMQ
from durian.wire.topology import Topology
from tests.servers.free import wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ


@pytest.fixture
def broker(rabbitmq: PrivateRabbitMQ, amqp_prefix: str) -> RabbitMQ:
    return RabbitMQ(rabbitmq.url, Topology(amqp_prefix))


@contextmanager
def running(feed: Feed) -> Iterator[None]:
    thread = threading.Thread(target=feed.run)
    thread.start()
    try:
        yield
    finally:
        feed.stop()
        thread.join(10)


def event(broker: RabbitMQ) -> Outgoing:
    return Outgoing(broker.topology.public, "person.saved", b"{}", "an event", mandatory=False)


def test_a_queue_bound_by_others_gets_the_event(
    broker: RabbitMQ, rabbitmq: PrivateRabbitMQ
) -> None:
    broker.declare(public=True)
    done = threading.Event()
    feed = Feed(broker)
    with amqp.Connection(f"127.0.0.1:{rabbitmq.port}") as connection, running(feed):
        channel = connection.channel()
        theirs = channel.queue_declare("", exclusive=True).queue
        channel.queue_bind(theirs, broker.topology.public, "person.*")
        feed.take(event(broker), done.set)
        assert done.wait(10)
        message = channel.basic_get(theirs, no_ack=True)
        assert (message.body, message.properties["message_id"]) == (b"{}", "an event")


def test_a_full_queue_of_others_holds_nothing_up(
    broker: RabbitMQ, rabbitmq: PrivateRabbitMQ
) -> None:
    broker.declare(public=True)
    full = {"x-max-length": 0, "x-overflow": "reject-publish"}
    done = threading.Event()
    feed = Feed(broker)
    with amqp.Connection(f"127.0.0.1:{rabbitmq.port}") as connection, running(feed):
        channel = connection.channel()
        theirs = channel.queue_declare("", exclusive=True, arguments=full).queue
        channel.queue_bind(theirs, broker.topology.public, "#")
        feed.take(event(broker), done.set)
        assert done.wait(10)


def test_a_missing_exchange_is_waited_for(broker: RabbitMQ) -> None:
    broker.declare(public=False)
    done = threading.Event()
    feed = Feed(broker)
    with running(feed):
        feed.take(event(broker), done.set)
        assert not done.wait(0.5)
        broker.declare(public=True)
        wait_until(done.is_set, 20, "the event is published once there is an exchange")


def test_a_missing_exchange_is_named(broker: RabbitMQ) -> None:
    names = broker.topology
    assert broker.missing_exchanges(public=True) == [names.events, names.public]
    broker.declare(public=False)
    assert broker.missing_exchanges(public=False) == []
    assert broker.missing_exchanges(public=True) == [names.public]

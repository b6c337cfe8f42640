"""Brokers for the tests of the wire: what is promised of both is tested on both."""

import uuid
from collections.abc import Iterator

import pytest

from durian.wire import connect
from durian.wire.broker import Broker
from tests.integration.wire.harness import channel
from tests.servers.rabbitmq import PrivateRabbitMQ


@pytest.fixture(scope="session")
def declared(rabbitmq: PrivateRabbitMQ) -> Iterator[Broker]:
    """A RabbitMQ with durian's topology; use `rabbit`, which is empty."""
    prefix = f"wire-{uuid.uuid4().hex[:8]}."
    broker = connect.broker(rabbitmq.url, prefix)
    broker.declare(public=True)
    yield broker
    if not rabbitmq.running:
        rabbitmq.start()
    rabbitmq.delete_queues(prefix)


@pytest.fixture
def rabbit(rabbitmq: PrivateRabbitMQ, declared: Broker) -> Broker:
    """A RabbitMQ with durian's topology, and no message in it."""
    if not rabbitmq.running:
        rabbitmq.start()
    declared.declare(public=True)
    with channel(rabbitmq) as plain:
        for queue in declared.topology.queues():
            plain.queue_purge(queue.name)
    return declared


@pytest.fixture(params=["memory", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """A broker of either kind, empty."""
    if request.param == "memory":
        return connect.broker("memory://", f"{uuid.uuid4().hex}.")
    rabbit: Broker = request.getfixturevalue("rabbit")
    return rabbit

"""Three nodes: every queue is on all of them, and durian goes on with any two."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial

import pytest

from durian.errors import MessageRefused
from durian.wire.broker import Outgoing
from durian.wire.rabbitmq import RabbitMQ
from durian.wire.sender import Sender
from durian.wire.topology import Topology
from tests.integration.wire.harness import PATIENCE, numbered, take
from tests.servers.cluster import SIZE, PrivateCluster
from tests.servers.free import wait_until


@pytest.fixture(scope="module")
def cluster() -> Iterator[PrivateCluster]:
    started = PrivateCluster()
    started.start()
    yield started
    started.stop()


def send(broker: RabbitMQ, bodies: Sequence[bytes]) -> None:
    """Publish `bodies` to the deliveries as the roles do: again, until they are confirmed."""
    confirmed: list[bytes] = []
    refused: list[MessageRefused] = []
    with closing(Sender(broker)) as sender:
        for body in bodies:
            message = Outgoing("", broker.topology.deliver, body)
            sender.send(message, partial(confirmed.append, body), refused.append)

        def complete() -> bool:
            sender.turn()
            return sender.idle

        wait_until(complete, PATIENCE, "the cluster confirms everything")
    assert sorted(confirmed) == sorted(bodies)
    assert not refused


def test_each_queue_is_on_every_node_and_survives_the_death_of_any_one(
    cluster: PrivateCluster,
) -> None:
    broker = RabbitMQ(cluster.url, Topology())
    broker.declare(public=False)
    lines = cluster.nodes[0].ctl("list_queues", "--no-table-headers", "name", "members")
    replicas = [line.count("@localhost") for line in lines.splitlines()]
    assert replicas == [SIZE] * len(broker.topology.queues())
    cluster.flush()
    bodies = numbered(20)
    send(broker, bodies[:5])
    # The first node leads all the queues, since they were declared there.
    for node, batch in zip(cluster.nodes, (bodies[5:10], bodies[10:15], bodies[15:]), strict=True):
        node.kill()
        send(broker, batch)
        node.start()
    held = take(broker, broker.topology.deliver, len(bodies), ack=False)
    assert {incoming.body for incoming in held} == set(bodies)

"""What more nodes of the broker cost: a message in a queue of one replica and of three."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import amqp

from tests.benchmarks.limits import publish
from tests.benchmarks.load import event_message
from tests.benchmarks.meter import Meter
from tests.benchmarks.rows import Row, Values
from tests.benchmarks.stage import Stage
from tests.servers.cluster import PrivateCluster

MESSAGES = 20_000
REPLICAS = (1, 3)


def measure_more(stage: Stage, _done: Values) -> Iterator[Row]:
    """Yield rate and CPU of publishing with confirms to a cluster of three nodes of its own."""
    cluster = PrivateCluster()
    with ExitStack() as stack:
        stack.callback(cluster.stop)
        cluster.start()
        for replicas in REPLICAS:
            yield from _publish(cluster, replicas)


def _publish(cluster: PrivateCluster, replicas: int) -> Iterator[Row]:
    queue = f"of-{replicas}"
    arguments = {"x-queue-type": "quorum", "x-quorum-initial-group-size": replicas}
    with amqp.Connection(f"127.0.0.1:{cluster.nodes[0].port}") as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)
        meter = Meter({"all nodes": [node.pid for node in cluster.nodes]})
        began = time.monotonic()
        publish(channel, queue, MESSAGES, [event_message()])
        rate = MESSAGES / (time.monotonic() - began)
        costs = list(meter.rows(f"cluster.{replicas}", MESSAGES))
        channel.queue_delete(queue)
    what = f"broker of three nodes: publish to a queue of {replicas} replica(s)"
    yield Row(f"cluster.{replicas}", what, rate, "/s")
    yield from costs

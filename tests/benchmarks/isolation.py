"""Nobody slowed by a neighbour: what the others get while some hang, or one is far behind.

Each time there are the same listeners to an nginx, with the same deliveries; in turn without and
with a tenth more to receivers that hang until the deadline, or with a backlog of one listener.
"""

import itertools
import signal
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from durian import roles
from durian.models import Listener
from durian.wire.broker import Outgoing
from durian.wire.messages import DeliveryMessage, encode
from durian.wire.publishing import publish_all
from tests.benchmarks import load
from tests.benchmarks.arrivals import Arrivals
from tests.benchmarks.rows import Row
from tests.benchmarks.stage import Stage
from tests.servers.nginx import PrivateNginx

OTHERS, HANGING = 450, 50
EACH = 50
"""Deliveries that wait for each listener at the start."""
PART_OF_RATE = 0.4
"""The load under which the latency is measured, as a part of what is delivered at most."""
SECONDS = 10
HEALTHY_SECONDS = 4
"""How long the load lasts before, while all answer: the deliverer then knows all listeners."""
BACKLOG = 100_000
BACKLOG_RATE = 20
"""POSTs a second that the listener with the backlog takes."""
PATIENCE = 60

Ids = dict[str, float]
"""When each delivery was published, by its webhook-id."""


def measure(stage: Stage) -> Iterator[Row]:
    """Yield the others' rate and latency, without and with those that keep a deliverer busy."""
    rate = _rate(stage, hanging=0)
    yield Row("isolation.rate", "450 listeners, full queue", rate, "/s")
    yield Row(
        "isolation.rate_hanging",
        "  the same, beside 50 that hang",
        _rate(stage, HANGING),
        "/s",
    )
    pace = rate * PART_OF_RATE
    yield from _latency(stage, pace, hanging=0, key="isolation.latency", what="450 listeners")
    yield from _latency(
        stage,
        pace,
        HANGING,
        "isolation.latency_hanging",
        "  the same, beside 50 that begin to hang",
    )
    yield from _backlog(stage, pace)


def _rate(stage: Stage, hanging: int) -> float:
    with _fresh(stage), _deaf() as deaf:
        others = load.listeners(OTHERS, stage.nginx.url)
        behind = load.listeners(hanging, lambda path: f"http://127.0.0.1:{deaf}{path}")
        total = (OTHERS + hanging) * EACH
        load.deliveries(total, _mixed(others, behind))
        arrivals = stage.arrivals()
        with stage.running("deliverer"):
            arrivals.wait_for(OTHERS * EACH, PATIENCE)
        return arrivals.rate()


def _latency(stage: Stage, pace: float, hanging: int, key: str, what: str) -> Iterator[Row]:
    with _fresh(stage), _second_nginx() as second:
        others = load.listeners(OTHERS, stage.nginx.url)
        behind = load.listeners(hanging, second.url)
        everybody = _mixed(others, behind)
        # To the others the same load.
        pace *= len(everybody) / OTHERS
        with stage.running("deliverer"):
            _send(everybody, pace, HEALTHY_SECONDS)
            second.send(signal.SIGSTOP)
            arrivals = stage.arrivals()
            sent = _send(everybody, pace, SECONDS)
            arrivals.wait_for(len(sent) * OTHERS // len(everybody), PATIENCE)
        second.send(signal.SIGCONT)
    yield from _percentiles(arrivals, sent, key, what)


def _backlog(stage: Stage, pace: float) -> Iterator[Row]:
    with _fresh(stage):
        others = load.listeners(OTHERS, stage.nginx.url)
        (behind,) = load.listeners(1, stage.nginx.url)
        Listener.objects.filter(pk=behind).update(config={"rate": BACKLOG_RATE})
        load.deliveries(BACKLOG, [behind])
        with stage.running("deliverer"):
            began = time.monotonic()
            _wait_until_parked(stage)
            took = time.monotonic() - began
            _send(others, pace, HEALTHY_SECONDS)
            arrivals = stage.arrivals()
            sent = _send(others, pace, SECONDS)
            arrivals.wait_for(len(sent), PATIENCE)
    yield Row("isolation.parking", f"{BACKLOG:,} of one listener, parked within", took, "s")
    yield from _percentiles(
        arrivals, sent, "isolation.latency_backlog", f"  450 listeners, while {BACKLOG:,} wait"
    )


def _percentiles(arrivals: Arrivals, sent: Ids, key: str, what: str) -> Iterator[Row]:
    waits = sorted(moment - sent[name] for moment, name in arrivals.all() if name in sent)
    for part in (50, 99):
        value = waits[len(waits) * part // 100] * 1000
        yield Row(f"{key}.p{part}", f"{what}, p{part}", value, "ms")


def _mixed(others: Sequence[int], behind: Sequence[int]) -> list[int]:
    """Return `others` with one of `behind` after every few of them."""
    if not behind:
        return list(others)
    few = len(others) // len(behind)
    return [
        one
        for number, late in enumerate(behind)
        for one in (*others[number * few : (number + 1) * few], late)
    ]


def _send(to: Sequence[int], pace: float, seconds: float) -> Ids:
    """Publish so many deliveries a second, to each of the listeners in turn."""
    broker, sent, listeners = roles.broker(), Ids(), itertools.cycle(to)
    with closing(broker.publisher()) as publisher:
        began = time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            batch = []
            while len(sent) < (now - began) * pace:
                name = str(uuid.uuid4())
                sent[name] = time.time()
                batch.append(_message(broker.topology.deliver, name, next(listeners)))
            publish_all(publisher, iter(batch))
            time.sleep(0.005)
    return sent


def _message(queue: str, name: str, listener: int) -> Outgoing:
    message = DeliveryMessage(
        id=name,
        event=name,
        hook=load.HOOK,
        listener=listener,
        body=load.body(1),
        created=time.time(),
    )
    return Outgoing("", queue, encode(message), name)


def _wait_until_parked(stage: Stage) -> None:
    deadline = time.monotonic() + 2 * PATIENCE
    with stage.channel() as channel:
        while time.monotonic() < deadline:
            found = channel.queue_declare(stage.queue("deliver"), passive=True)
            if found.message_count == 0:
                return
            time.sleep(0.1)
    raise AssertionError("the backlog is still in the deliverers' queue")


@contextmanager
def _fresh(stage: Stage) -> Iterator[None]:
    """Empty the tables and queues, those of delays too, before and after the block."""
    stage.clear()
    yield
    stage.clear()
    with stage.channel() as channel:
        for queue in roles.broker().topology.queues():
            channel.queue_purge(queue.name)


@contextmanager
def _deaf() -> Iterator[int]:
    """Give a port on which connections are made and nothing is ever read."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
        yield int(server.getsockname()[1])


@contextmanager
def _second_nginx() -> Iterator["PrivateNginx"]:
    server = PrivateNginx()
    server.start()
    try:
        yield server
    finally:
        server.stop()

"""Nobody slowed by a neighbour: what the others get while some hang, or one is far behind.

Each time there are the same listeners to an nginx, with the same deliveries; without and with a
tenth more to receivers that hang until the deadline, or with a backlog of one listener.

One in a hundred of the deliveries of a few seconds is what a single pause of the machine of 50 ms
delays. So latencies are taken several times, in turn without and beside those that hang, each time
from the moment on at which they begin to hang and until they count as away; the figures are the
medians of the percentiles. And the collector of the process that publishes rests meanwhile: what it
held up would count as the deliverer's.
"""

import itertools
import signal
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from statistics import fmean, median
from typing import NamedTuple

from durian import roles
from durian.lasting import lasting
from durian.models import Listener
from durian.wire.broker import Outgoing
from durian.wire.messages import DeliveryMessage, encode
from durian.wire.publishing import publish_all
from tests.benchmarks import load
from tests.benchmarks.rows import Row
from tests.benchmarks.stage import Stage
from tests.servers.nginx import PrivateNginx

OTHERS, HANGING = 450, 50
EACH = 40
"""Deliveries that wait for each listener at the start."""
IN_TURN = (0, HANGING, HANGING, 0, 0, HANGING)
"""In this order, what the machine gains or loses meanwhile is shared by both."""
PART_OF_RATE = 0.25
"""The load under which the latency is measured, as a part of what is delivered at most. What comes
one by one costs all that take part three times as much as from a full queue: with two fifths the
machine has nothing to spare, and it is its own pauses that are measured."""
ROUNDS = 3
WARM_SECONDS = 2
"""How long the load lasts before, while all answer: the deliverer then knows all listeners."""
SECONDS = 4
HANGING_SECONDS = 8
"""How long it is measured beside those that hang: POSTs to them end after 4 seconds, they count as
away from the fifth on. What was parked for their silence comes back later than that."""
BACKLOG = 100_000
BACKLOG_RATE = 20
"""POSTs a second that the listener with the backlog takes."""
PATIENCE = 60


class Sent(NamedTuple):
    """When a delivery was published, and to which listener."""

    moment: float
    listener: int


def measure(stage: Stage) -> Iterator[Row]:
    """Yield the others' rate and latency, without and with those that keep a deliverer busy."""
    rates: dict[int, list[float]] = {0: [], HANGING: []}
    for hanging in IN_TURN:
        rates[hanging].append(_rate(stage, hanging))
    rate, beside = fmean(rates[0]), fmean(rates[HANGING])
    yield Row("isolation.rate", "450 listeners, full queue", rate, "/s")
    yield Row("isolation.rate_hanging", "  the same, beside 50 that hang", beside, "/s")
    pace = rate * PART_OF_RATE
    yield from _latency(stage, pace)
    yield from _backlog(stage, pace)


def _rate(stage: Stage, hanging: int) -> float:
    with _fresh(stage), _deaf() as deaf:
        others = load.listeners(OTHERS, stage.nginx.url)
        port = deaf.getsockname()[1]
        behind = load.listeners(hanging, lambda path: f"http://127.0.0.1:{port}{path}")
        total = (OTHERS + hanging) * EACH
        load.deliveries(total, _mixed(others, behind))
        arrivals = stage.arrivals()
        with stage.running("deliverer"):
            arrivals.wait_for(OTHERS * EACH, PATIENCE)
            # Who hangs lets go: a deliverer ends once its POSTs have.
            deaf.close()
        return arrivals.rate()


def _latency(stage: Stage, pace: float) -> Iterator[Row]:
    rounds = [_round(stage, pace) for _ in range(ROUNDS)]
    without, beside = zip(*rounds, strict=True)
    yield from _percentiles(without, "isolation.latency", "450 listeners")
    what = "  the same, beside 50 that begin to hang"
    yield from _percentiles(beside, "isolation.latency_hanging", what)


def _round(stage: Stage, pace: float) -> tuple[list[float], list[float]]:
    """Return the others' waits without, and then beside, those that hang."""
    with _fresh(stage), _second_nginx() as second:
        others = load.listeners(OTHERS, stage.nginx.url)
        everybody = _mixed(others, load.listeners(HANGING, second.url))
        with stage.running("deliverer"):
            _send(others, pace, WARM_SECONDS)
            without = _waits(stage, others, others, pace, SECONDS)
            # To the others the same load.
            pace *= len(everybody) / OTHERS
            _send(everybody, pace, WARM_SECONDS)
            second.send(signal.SIGSTOP)
            beside = _waits(stage, others, everybody, pace, HANGING_SECONDS)
            second.send(signal.SIGCONT)
    return without, beside


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
            _send(others, pace, WARM_SECONDS)
            rounds = [_waits(stage, others, others, pace, SECONDS) for _ in range(ROUNDS)]
    yield Row("isolation.parking", f"{BACKLOG:,} of one listener, parked within", took, "s")
    what = f"  450 listeners, while {BACKLOG:,} wait"
    yield from _percentiles(rounds, "isolation.latency_backlog", what)


def _waits(
    stage: Stage, others: Sequence[int], to: Sequence[int], pace: float, seconds: float
) -> list[float]:
    """Return how long each delivery to `others` took, sorted, while `to` get so many a second."""
    arrivals, sent = stage.arrivals(), _send(to, pace, seconds)
    known = set(others)
    theirs = {name: one.moment for name, one in sent.items() if one.listener in known}
    came = arrivals.of(theirs, PATIENCE)
    return sorted(came[name] - moment for name, moment in theirs.items())


def _percentiles(rounds: Sequence[list[float]], key: str, what: str) -> Iterator[Row]:
    for part in (50, 99):
        value = median(waits[len(waits) * part // 100] for waits in rounds) * 1000
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


def _send(to: Sequence[int], pace: float, seconds: float) -> dict[str, Sent]:
    """Publish so many deliveries a second, to each of the listeners in turn, and return them."""
    broker, sent, listeners = roles.broker(), dict[str, Sent](), itertools.cycle(to)
    with closing(broker.publisher()) as publisher, lasting():
        began = time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            batch = []
            while len(sent) < (now - began) * pace:
                name, listener = str(uuid.uuid4()), next(listeners)
                sent[name] = Sent(time.time(), listener)
                batch.append(_message(broker.topology.deliver, name, listener))
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
def _deaf() -> Iterator[socket.socket]:
    """Give a server to which connections are made and which reads nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
        yield server


@contextmanager
def _second_nginx() -> Iterator["PrivateNginx"]:
    server = PrivateNginx()
    server.start()
    try:
        yield server
    finally:
        server.stop()

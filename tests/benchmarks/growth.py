"""What an event costs as things grow: its payload, and what waits before it.

(What it costs as listeners grow is in `matcher` and, at the deliverer, in `deliverer` and `slow`.)
"""

import time
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle, islice
from statistics import fmean

from durian import roles
from durian.wire.broker import Outgoing
from durian.wire.publishing import publish_all
from tests.benchmarks import load
from tests.benchmarks.meter import megabytes
from tests.benchmarks.rows import Row, Values
from tests.benchmarks.stage import Stage

PAYLOADS = ((100, 6_000), (1_000, 6_000), (10_000, 3_000), (100_000, 600))
"""Bytes of a body, and how many events have it."""
PAYLOAD_SECONDS = 15
WARM_UP = 2_000
LISTENERS = 20
FEW, MANY = 20_000, 1_000_000
RATE_SECONDS = 10
"""Long enough for what the broker does every few seconds, with a million in its hands, to even out.
Few are delivered sooner."""
PUBLISH_SECONDS = 60
"""A machine that cannot publish the whole backlog in that time is asked about what it could."""
BATCH = 10_000
SETTLE_SECONDS = 20
QUIET = 0.1
"""The part of a core that a broker uses at most when it has nothing left to do."""


def measure(stage: Stage) -> Iterator[Row]:
    """Yield the deliverer's rates behind backlogs."""
    # In this order, what the machine gains or loses meanwhile is shared by both.
    before, many, after = (list(_backlog(stage, backlog)) for backlog in (FEW, MANY, FEW))
    for one, other in zip(before, after, strict=True):
        # The memory that many took, the broker gives back later.
        mean = one.value if one.unit == "MB" else fmean((one.value, other.value))
        yield one._replace(value=mean)
    yield from many


def measure_more(stage: Stage, _done: Values) -> Iterator[Row]:
    """Yield CPU of all processes from a full outbox to the log, by size of the body."""
    stage.clear()
    load.listeners(1, stage.nginx.url)
    with stage.running("publisher", "matcher", "deliverer", RELAY="off") as running:
        load.outbox(stage, WARM_UP)
        logged, _ = stage.wait_logged(WARM_UP, PAYLOAD_SECONDS)
        for size, count in PAYLOADS:
            meter = stage.meter(**running)
            load.outbox(stage, count, padding=size - len(load.body(1)))
            before = logged
            logged, _ = stage.wait_logged(before + count, PAYLOAD_SECONDS)
            cost = sum(meter.seconds().values()) / max(logged - before, 1) * 1e6
            what = f"growth: CPU of all, a body of {size:,} bytes"
            yield Row(f"growth.payload.{size}", what, cost, "µs/event")
    stage.clear()


def _backlog(stage: Stage, backlog: int) -> Iterator[Row]:
    """Yield the rate of a deliverer that begins on so many deliveries, and the broker's memory."""
    stage.clear()
    waiting = _publish(stage, backlog)
    _settle(stage)
    held, arrivals = megabytes(stage.rabbitmq.pid), stage.arrivals()
    with stage.running("deliverer") as running:
        arrivals.wait_for(1, seconds=30)
        began, meter = arrivals.first(), stage.meter(**running)
        arrived = arrivals.wait_for(waiting, RATE_SECONDS)
        costs = list(meter.rows(f"growth.backlog.{backlog}", arrived))
        rate = arrivals.rate(since=began)
    what = f"growth: deliverer, {waiting:,} deliveries waiting"
    yield Row(f"growth.backlog.{backlog}", what, rate, "/s")
    yield Row(f"growth.backlog.{backlog}.memory", "  memory of the broker then", held, "MB")
    yield from costs
    stage.clear()


def _publish(stage: Stage, count: int) -> int:
    """Fill the deliverers' queue and return how many there are."""
    made, broker = load.listeners(LISTENERS, stage.nginx.url), roles.broker()
    contents = [load.delivery(one) for one in made]
    messages = [Outgoing("", broker.topology.deliver, one) for one in contents]
    deadline, published = time.monotonic() + PUBLISH_SECONDS, 0
    with closing(broker.publisher()) as publisher:
        while published < count and time.monotonic() < deadline:
            publish_all(publisher, islice(cycle(messages), BATCH))
            published += BATCH
    return published


def _settle(stage: Stage) -> None:
    """Wait until the broker has moved what it was given to its files.

    That is a part of the price of publishing a million messages, and not of their waiting.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        meter = stage.meter()
        time.sleep(1)
        if meter.seconds()["broker"] < QUIET:
            return

"""From a full outbox to the receiver, attempts logged, while no site runs."""

from collections.abc import Iterator

from tests.benchmarks import load
from tests.benchmarks.rows import Row
from tests.benchmarks.stage import Stage

EVENTS = 100_000
SECONDS = 75
"""Enough to deliver them all on a slow machine. At first what publishes and matches is ahead of
what delivers, and later leaves it the machine: of the first half alone the rate would be half."""


def measure(stage: Stage) -> Iterator[Row]:
    """Yield events a second from the outbox's commit until the last attempt is in the log.

    After SECONDS, what is in the log by then.
    """
    stage.clear()
    load.listeners(1, stage.nginx.url)
    arrivals = stage.arrivals()
    with stage.running("publisher", "matcher", "deliverer", RELAY="off") as running:
        meter = stage.meter(**running)
        began = load.outbox(stage, EVENTS)
        logged, ended = stage.wait_logged(EVENTS, SECONDS)
        # nginx writes what has arrived every 50 ms.
        arrived = arrivals.wait_for(logged, 2.0)
        assert arrived >= logged, "the log tells of POSTs that have not arrived"
        rate = logged / (ended - began)
        yield Row("pipeline.rate", "pipeline: a full outbox to the receiver", rate, "events/s")
        yield from meter.rows("pipeline", logged)
    stage.clear()

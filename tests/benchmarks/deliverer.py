"""A deliverer alone: a full queue becomes POSTs and rows of the log, in one process."""

from collections.abc import Iterator

from tests.benchmarks import load
from tests.benchmarks.rows import Row
from tests.benchmarks.stage import Stage

DELIVERIES = 40_000
LISTENERS = 20
"""Enough that none of them is over its share of POSTs in flight (50 of 1,000)."""


def measure(stage: Stage) -> Iterator[Row]:
    """Yield deliveries a second, from the first POST until all are in the log."""
    stage.clear()
    made = load.listeners(LISTENERS, lambda number: stage.nginx.url(f"/{number}"))
    load.deliveries(DELIVERIES, made)
    arrivals = stage.arrivals()
    with stage.running("deliverer") as running:
        meter = stage.meter(**running)
        logged, ended = stage.wait_logged(DELIVERIES, seconds=40)
        rate = logged / (ended - arrivals.first())
        yield Row("deliverer.rate", "deliverer alone: full queue to nginx, logged", rate, "/s")
        yield from meter.rows("deliverer", logged)
    stage.clear()

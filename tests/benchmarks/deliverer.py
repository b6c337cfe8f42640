"""A deliverer alone: a full queue becomes POSTs and rows of the log, in one process."""

from collections.abc import Iterator

from tests.benchmarks import load
from tests.benchmarks.arrivals import Arrivals
from tests.benchmarks.load import UrlOf
from tests.benchmarks.rows import Row, Values
from tests.benchmarks.stage import Stage
from tests.servers.slow import SlowReceiver

DELIVERIES = 40_000
LISTENERS = 20
SECONDS = 25


def measure(stage: Stage) -> Iterator[Row]:
    """Yield deliveries a second, from the first POST until all are in the log."""
    what = f"deliverer: full queue, {LISTENERS} listeners on nginx, logged"
    yield from drain(stage, "rate", what, stage.arrivals(), stage.nginx.url, LISTENERS, DELIVERIES)


def measure_more(stage: Stage, _done: Values) -> Iterator[Row]:
    """Yield the same of deliveries that were tried before, which the log is asked about."""
    what = f"deliverer: full queue, {LISTENERS} listeners on nginx, logged, second attempts"
    arrivals, count = stage.arrivals(), DELIVERIES // 2
    yield from drain(stage, "rate_retries", what, arrivals, stage.nginx.url, LISTENERS, count, 2)


def drain(
    stage: Stage,
    key: str,
    what: str,
    arrivals: Arrivals,
    url: UrlOf,
    listeners: int,
    count: int,
    attempt: int = 1,
    slow: SlowReceiver | None = None,
) -> Iterator[Row]:
    """Yield the figure `key`: the rate of `count` deliveries to so many listeners, and its CPU."""
    stage.clear()
    made = load.listeners(listeners, url)
    load.deliveries(count, made, attempt)
    with stage.running("deliverer") as running:
        meter = stage.meter(**running, **({"slow receiver": slow.process} if slow else {}))
        logged, ended = stage.wait_logged(count, SECONDS)
        yield Row(f"deliverer.{key}", what, logged / (ended - arrivals.first()), "/s")
        yield from meter.rows(f"deliverer.{key}", logged)
    stage.clear()

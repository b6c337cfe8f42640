"""A deliverer alone: a full queue becomes POSTs and rows of the log, in one process."""

from collections.abc import Iterator
from typing import Any

from tests.benchmarks import load
from tests.benchmarks.arrivals import Arrivals
from tests.benchmarks.load import UrlOf
from tests.benchmarks.rows import Row, Values
from tests.benchmarks.stage import Stage
from tests.servers.slow import SlowReceiver

DELIVERIES = 40_000
LISTENERS = 20
SECONDS = 25
MANY = 30_000
"""Places of a deliverer for slow receivers: the fast ones are not to pay for them."""


def measure(stage: Stage) -> Iterator[Row]:
    """Yield deliveries a second, from the first POST until all are in the log."""
    what = f"deliverer: full queue, {LISTENERS} listeners on nginx, logged"
    yield from drain(stage, "rate", what, stage.arrivals(), stage.nginx.url, LISTENERS, DELIVERIES)


def measure_more(stage: Stage, _done: Values) -> Iterator[Row]:
    """Yield the same of second attempts, which the log is asked about, and with many places."""
    what = f"deliverer: full queue, {LISTENERS} listeners on nginx, logged"
    url, count = stage.nginx.url, DELIVERIES // 2
    again, wide = f"{what}, second attempts", f"{what}, MAX_IN_FLIGHT {MANY:,}"
    yield from drain(stage, "rate_retries", again, stage.arrivals(), url, LISTENERS, count, 2)
    yield from drain(
        stage, "rate_wide", wide, stage.arrivals(), url, LISTENERS, DELIVERIES, MAX_IN_FLIGHT=MANY
    )


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
    **durian: Any,
) -> Iterator[Row]:
    """Yield the figure `key`: the rate of `count` deliveries to so many listeners, and its CPU.

    `durian` is for the deliverer's settings.
    """
    stage.clear()
    made = load.listeners(listeners, url)
    load.deliveries(count, made, attempt)
    with stage.running("deliverer", **durian) as running:
        meter = stage.meter(**running, **({"slow receiver": slow.process} if slow else {}))
        logged, ended = stage.wait_logged(count, SECONDS)
        yield Row(f"deliverer.{key}", what, logged / (ended - arrivals.first()), "/s")
        yield from meter.rows(f"deliverer.{key}", logged)
    stage.clear()

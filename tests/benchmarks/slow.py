"""A deliverer whose receivers take their time."""

from collections.abc import Iterator
from typing import Any

from tests.benchmarks.arrivals import Arrivals
from tests.benchmarks.deliverer import drain
from tests.benchmarks.rows import Row
from tests.benchmarks.stage import Stage
from tests.servers.slow import SlowReceiver

LISTENERS = 1_000
CASES: tuple[tuple[str, float, int, dict[str, Any]], ...] = (
    ("rate_200ms", 0.2, 40_000, {}),
    ("rate_2s", 2.0, 20_000, {"MAX_IN_FLIGHT": 4_000}),
)
"""Key, seconds until the answer, deliveries, settings: what takes 2 s needs more POSTs in flight
than the 1,000 that there are by default. The count is for many times that long."""


def measure(stage: Stage) -> Iterator[Row]:
    """Yield deliveries a second, from the first POST until all are in the log."""
    for key, delay, count, settings in CASES:
        slow = SlowReceiver(stage.folder, delay)
        slow.start()
        what = f"deliverer: {LISTENERS:,} listeners that answer after {delay:g} s"
        arrivals = Arrivals(slow.arrivals)
        yield from drain(stage, key, what, arrivals, slow.url, LISTENERS, count, slow, **settings)
        slow.stop()

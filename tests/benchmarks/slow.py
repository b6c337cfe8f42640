"""A deliverer whose receivers take their time."""

from collections.abc import Iterator

from tests.benchmarks.arrivals import Arrivals
from tests.benchmarks.deliverer import drain
from tests.benchmarks.rows import Row
from tests.benchmarks.stage import Stage
from tests.servers.slow import SlowReceiver

LISTENERS, HOSTS = 1_000, 20
CASES = (("rate_200ms", 0.2, 30_000), ("rate_2s", 2.0, 20_000))
"""Key, seconds until the answer, deliveries: for many times that long."""


def measure(stage: Stage) -> Iterator[Row]:
    """Yield deliveries a second, from the first POST until all are in the log."""
    for key, delay, count in CASES:
        slow = SlowReceiver(stage.folder, delay, HOSTS)
        slow.start()
        what = f"deliverer: {LISTENERS:,} listeners that answer after {delay:g} s"
        arrivals = Arrivals(slow.arrivals)
        yield from drain(stage, key, what, arrivals, slow.url, LISTENERS, count, slow=slow)
        slow.stop()

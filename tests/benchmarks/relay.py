"""The relay alone: a full outbox becomes confirmed messages in the matchers' queue."""

import time
from collections.abc import Iterator

from tests.benchmarks import load
from tests.benchmarks.rows import Row
from tests.benchmarks.stage import Stage

EVENTS = 40_000
SECONDS = 30


def measure(stage: Stage) -> Iterator[Row]:
    """Yield events a second from their commit to the mark on the last of them; no matcher runs."""
    stage.clear()
    with stage.running("publisher") as running:
        meter = stage.meter(**running)
        began = load.outbox(stage, EVENTS)
        deadline = time.monotonic() + SECONDS
        while stage.outbox_waits():
            assert time.monotonic() < deadline, "events wait in the outbox"
            time.sleep(0.05)
        took = time.time() - began
        yield Row("relay.rate", "relay alone: a full outbox to the exchange", EVENTS / took, "/s")
        yield from meter.rows("relay", EVENTS)
    stage.clear()

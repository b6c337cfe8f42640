"""A system on which nothing happens: what each process costs."""

import time
from collections.abc import Iterator

from tests.benchmarks import load
from tests.benchmarks.meter import megabytes
from tests.benchmarks.rows import Row
from tests.benchmarks.site import STAYING, Raiser
from tests.benchmarks.stage import Stage

SECONDS = 12
SETTLE_SECONDS = 3


def measure(stage: Stage) -> Iterator[Row]:
    """Yield per cent of a core over SECONDS, and MB, of each process, after it has worked a little.

    The site is a process whose relay has started. The largest of durian's are given as well.
    """
    stage.clear()
    load.listeners(1, stage.nginx.url)
    raiser = Raiser(stage, "paced", 50, 1, 1, "--stay")
    with stage.running("publisher", "matcher", "deliverer") as running:
        raiser.process.start(ready=lambda: STAYING in raiser.output())
        processes = {"site": raiser.process, **running}
        time.sleep(SETTLE_SECONDS)
        meter = stage.meter(**processes)
        time.sleep(SECONDS)
        used = {name: seconds / SECONDS * 100 for name, seconds in meter.seconds().items()}
        held = {name: megabytes(process.pid) for name, process in processes.items()}
        held["broker"] = megabytes(stage.rabbitmq.pid)
        raiser.process.kill()
    for name, percent in used.items():
        yield Row(f"idle.cpu.{name}", f"idle: CPU of {name}", percent, "% of a core")
    for name, amount in held.items():
        yield Row(f"idle.memory.{name}", f"idle: memory of {name}", amount, "MB")
    stage.clear()

"""What the site's own processes do in a figure: raise events, and say how it went."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.benchmarks.stage import Stage
from tests.servers.process import ServerProcess

SITES = 2
"""Processes that raise when everything runs at once, durian's or the peer's: one alone would wait
for its commits and leave the machine idle."""
WINDOW = 500
"""How many events may be under way then: the site goes as fast as they arrive."""
SPARE_SECONDS = 2
"""How much longer they raise than is measured, so that they do to its end."""
SAYS_SECONDS = 90
STAYING = "staying"
_NUMBERS = count()


def as_fast_as_they_arrive(log: Path, seconds: int) -> list[str]:
    """Return the options of `raising` for SITES processes at once, until `seconds` are measured."""
    options = {"log": log, "window": WINDOW, "of": SITES, "seconds": seconds + SPARE_SECONDS}
    return [f"--{name}={value}" for name, value in options.items()]


class Raiser:
    """A process of the site that runs one of the benchmarks' modules to its end."""

    def __init__(self, stage: Stage, module: str, *arguments: object, **durian: Any) -> None:
        command = [sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments)]
        self._output = stage.folder / f"{module}-{next(_NUMBERS)}.log"
        self.process = ServerProcess(command, stage.shop.env(**durian), self._output)

    def run(self) -> str:
        """Run it to its end and return what it printed."""
        with self.under_way():
            pass
        return self.output()

    @contextmanager
    def under_way(self) -> Iterator[ServerProcess]:
        """Run it beside the block, and wait for its end after that."""
        self.process.start(ready=lambda: True)
        yield self.process
        self.process.wait(SAYS_SECONDS)
        assert self.process.returncode == 0, self.process.log_tail()

    def output(self) -> str:
        """Return what it has printed so far."""
        return self._output.read_text()


def raise_orders(stage: Stage, orders: int, *options: object, **durian: Any) -> Any:
    """Save so many orders in a process of the site and return what it says of that."""
    return json.loads(Raiser(stage, "raising", orders, *options, **durian).run())

"""What the site's own processes do in a figure: raise events, and say how it went."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from durian.wire.wakeup import wait_readable
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


class Saver:
    """A process that saves orders when it is told to, in one of the ways of `turns`."""

    def __init__(self, python: str, env: Mapping[str, str], way: str) -> None:
        self._command = [python, "-m", "tests.benchmarks.turns", way]
        self._env = dict(env)

    @contextmanager
    def ready(self) -> Iterator[Callable[[int], float]]:
        """Start it; give what saves so many orders and returns the mean of one, in µs."""
        with subprocess.Popen(
            self._command,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield partial(_turn, process)
            finally:
                process.kill()


def _turn(process: "subprocess.Popen[str]", orders: int) -> float:
    assert process.stdin
    assert process.stdout
    print(orders, file=process.stdin, flush=True)
    wait_readable([process.stdout], SAYS_SECONDS)
    return float(process.stdout.readline())

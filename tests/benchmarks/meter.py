"""CPU and memory of processes with all their descendants."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import psutil

from tests.benchmarks.rows import Row


class Meter:
    """Takes the CPU time of named processes from its making on; `roots` gives their ids."""

    def __init__(self, roots: Mapping[str, Iterable[int]]) -> None:
        self._roots = {name: list(pids) for name, pids in roots.items()}
        self._before = self._now()
        self._began, self._busy = time.monotonic(), _machine()

    def seconds(self) -> dict[str, float]:
        """Return the seconds of CPU that each name has used so far."""
        return {name: now - self._before[name] for name, now in self._now().items()}

    def rows(self, key: str, events: int) -> Iterator[Row]:
        """Yield the CPU of each name, and of all, in microseconds for each of `events`.

        And what else the machine did meanwhile: the less, the better the figures.
        """
        seconds, passed = self.seconds(), time.monotonic() - self._began
        others = _machine() - self._busy - sum(seconds.values())
        for name, used in [*seconds.items(), ("all", sum(seconds.values()))]:
            yield Row(f"{key}.cpu.{name}", f"  CPU of {name}", used / events * 1e6, "µs/event")

        share = max(others, 0.0) / passed / (os.cpu_count() or 1) * 100
        yield Row(f"{key}.others", "  all other programs of the machine", share, "% of its CPU")

    def _now(self) -> dict[str, float]:
        return {name: sum(map(_cpu, pids)) for name, pids in self._roots.items()}


def _cpu(pid: int) -> float:
    # What has ended, maybe just now, is counted by the parent that waited for it.
    seconds = 0.0
    for one in family(pid):
        with suppress(psutil.NoSuchProcess):
            seconds += sum(one.cpu_times()[:4])
    return seconds


def _machine() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def family(pid: int) -> list[psutil.Process]:
    """Return the process and its descendants."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def megabytes(pid: int) -> float:
    """Return the resident memory of the largest process of a family, in MB."""
    return max(one.memory_info().rss for one in family(pid)) / 1e6

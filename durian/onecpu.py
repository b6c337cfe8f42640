"""The threads of a busy process on one CPU at a time.

The interpreter runs one thread at a time. Spread over several CPUs, as the kernel likes it, threads
wake up in vain for the interpreter's lock, and find nothing in their CPU's cache of what the others
have just written; a deliverer takes a third of CPU more so. Together they let the kernel choose
again every time that they are looked at: where they are, others may have become busy.
"""

import os
import time
from collections.abc import Iterator, Set
from contextlib import suppress
from typing import NamedTuple

CHOICE_SECONDS = 0.01
"""How long the kernel may move threads: they sleep and wake up many times meanwhile."""

BUSY = 0.1
"""The part of a CPU's time from which on a process is busy. Others have nothing to gain."""

_TASKS = "/proc/self/task"


class OneCPU:
    """Keeps the threads of this process together; without an effect where Linux is not the system.

    The CPUs that the process may use are those that it has been given, by `taskset` or a container.
    """

    def __init__(self) -> None:
        self._allowed: Set[int] = frozenset()
        self._kept: Set[int] = frozenset()
        self._used: dict[int, int] = {}
        self._looked_at, self._cpu_seconds = time.monotonic(), time.process_time()

    def look(self) -> None:
        """Keep a busy process on the CPU that suits the kernel now, and let go of another one."""
        if not hasattr(os, "sched_setaffinity"):
            return
        given = os.sched_getaffinity(0)
        if given != self._kept:  # at first, and when an administrator has changed it
            self._allowed = given
        busy = self._is_busy()
        if self._kept or busy:
            self._keep_on(self._allowed)
            self._kept = frozenset()
        if busy and len(self._allowed) > 1:
            time.sleep(CHOICE_SECONDS)
            self._kept = {self._where()}
            self._keep_on(self._kept)

    def _is_busy(self) -> bool:
        now, cpu_seconds = time.monotonic(), time.process_time()
        passed, used = now - self._looked_at, cpu_seconds - self._cpu_seconds
        self._looked_at, self._cpu_seconds = now, cpu_seconds
        return used > passed * BUSY

    def _where(self) -> int:
        """Return the CPU of the thread that has worked most since the last time."""
        before, threads = self._used, list(_threads())
        self._used = {thread.id: thread.used for thread in threads}
        return max(threads, key=lambda thread: thread.used - before.get(thread.id, 0)).cpu

    def _keep_on(self, cpus: Set[int]) -> None:
        for thread in os.listdir(_TASKS):
            # It may have ended; or the system does not let us, and things go on as they do.
            with suppress(OSError):
                os.sched_setaffinity(int(thread), cpus)


class _Thread(NamedTuple):
    id: int
    used: int
    """Its CPU time, in ticks of the system's clock."""
    cpu: int


def _threads() -> Iterator[_Thread]:
    for name in os.listdir(_TASKS):
        with suppress(FileNotFoundError, ProcessLookupError), open(f"{_TASKS}/{name}/stat") as stat:
            # After the name, which may hold anything; numbered from 3 on (proc_pid_stat(5)).
            fields = stat.read().rpartition(")")[2].split()
            yield _Thread(int(name), int(fields[11]) + int(fields[12]), int(fields[36]))

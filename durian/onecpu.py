"""The threads of a busy process on one CPU at a time.

The interpreter runs one thread at a time. Spread over several CPUs, as the kernel likes it, threads
wake up in vain for the interpreter's lock, and find nothing in their CPU's cache of what the others
have just written: a third of a deliverer's CPU went into that. Every time that they are looked
at, they let the kernel choose their CPU again: where they are, others may have become busy.
"""

import os
import threading
import time
from collections.abc import Iterator, Set
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from durian.cpuload import CPULoad

CHOICE_SECONDS = 0.01
"""How long the kernel may move threads: they sleep and wake up many times meanwhile."""

BUSY = 0.1
"""The part of a CPU's time from which on a process is busy. Others have nothing to gain."""

_TASKS = "/proc/self/task"


class OneCPU:
    """Keeps the threads of this process together, but for the one that looks, which only waits.

    So that one's CPUs are those that the process has been given, by `taskset` or a container. Where
    the system is not Linux, or does not let us, things go on as they would.
    """

    def __init__(self) -> None:
        self._kept = False
        self._used: dict[int, int] = {}
        self._load = CPULoad()

    def look(self) -> None:
        """Keep a busy process on the CPU that suits the kernel now; let others go where they like.

        Always by the same thread.
        """
        if not hasattr(os, "sched_setaffinity"):
            return
        busy = self._load.look() > BUSY
        self.let_go()
        # Not permitted, no /proc, or no file can be opened for now.
        with suppress(OSError):
            if busy and len(os.sched_getaffinity(0)) > 1:
                time.sleep(CHOICE_SECONDS)
                self._keep_on(self._where())

    def let_go(self) -> None:
        """Let the threads use all CPUs that the process has been given."""
        if self._kept:
            with suppress(OSError):
                self._keep_on(os.sched_getaffinity(0))
                self._kept = False

    def _where(self) -> Set[int]:
        """Return the CPU of the thread that has worked most since the last time, in a set."""
        before, threads = self._used, [*_threads()]
        self._used = {thread.id: thread.used for thread in threads}
        most = max(threads, key=lambda one: one.used - before.get(one.id, 0), default=None)
        return {most.cpu} if most else frozenset()

    def _keep_on(self, cpus: Set[int]) -> None:
        for thread in _others():
            with suppress(ProcessLookupError):  # it has ended
                os.sched_setaffinity(thread, cpus)
                self._kept = True


class _Thread(NamedTuple):
    id: int
    used: int
    """Its CPU time, in ticks of the system's clock."""
    cpu: int


def _others() -> list[int]:
    """Return the threads of this process besides this one."""
    here = threading.get_native_id()
    found = [int(name) for name in os.listdir(_TASKS)]
    # The /proc of a container's host has other numbers, which are of other processes here.
    return [thread for thread in found if thread != here] if here in found else []


def _threads() -> Iterator[_Thread]:
    for thread in _others():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            # After the name, which may hold any bytes; numbered from 3 on (proc_pid_stat(5)).
            fields = Path(_TASKS, str(thread), "stat").read_bytes().rpartition(b")")[2].split()
            yield _Thread(thread, int(fields[11]) + int(fields[12]), int(fields[36]))

"""A file descriptor that one thread sets and another one, in `poll`, wakes up for."""

import os
import select
import weakref
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol


class HasFileno(Protocol):
    """Whatever `poll` can wait for."""

    def fileno(self) -> int:
        """Return the file descriptor."""
        ...


class Wakeup:
    """Set from any thread (or a signal handler); readable until cleared.

    Its descriptors live as long as it does: a thread that comes late to `set` must not write into
    a file that was given the same number since. Who waits clears it before it looks for what was
    to be done, so that of many sets at once the first alone need wake it.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        weakref.finalize(self, _close, self._read, self._write).atexit = False
        self._is_set = False

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._read

    def set(self) -> None:
        """Wake up whoever waits, now or at their next waiting."""
        if self._is_set:
            return
        self._is_set = True
        # Unless the pipe is full of wake-ups already.
        with suppress(BlockingIOError):
            os.write(self._write, b"!")

    def clear(self) -> None:
        """Forget what was set."""
        with suppress(BlockingIOError):
            os.read(self._read, 4096)
        # Last: who finds it set from here on has nothing that was not there before.
        self._is_set = False


def wait_readable(sources: Iterable[HasFileno], timeout: float | None) -> None:
    """Return when one of `sources` can be read, or after `timeout` seconds (None: never)."""
    poll = select.poll()
    for source in sources:
        poll.register(source.fileno(), select.POLLIN)
    poll.poll(None if timeout is None else max(timeout, 0.0) * 1000)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)

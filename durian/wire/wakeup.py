"""A file descriptor that one thread sets and another one, in `select`, wakes up for."""

import os
import selectors
from collections.abc import Sequence
from typing import Protocol


class HasFileno(Protocol):
    """Whatever `select` can wait for."""

    def fileno(self) -> int:
        """Return the file descriptor."""
        ...


class Wakeup:
    """Set from any thread (or a signal handler); readable until cleared."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._read

    def set(self) -> None:
        """Wake up whoever waits, now or at their next waiting."""
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            pass  # The pipe is full of wake-ups already.

    def clear(self) -> None:
        """Forget what was set."""
        try:
            while os.read(self._read, 4096):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._read)
        os.close(self._write)


def wait_readable(sources: Sequence[HasFileno], timeout: float) -> None:
    """Return when one of `sources` can be read, or after `timeout` seconds."""
    with selectors.DefaultSelector() as selector:
        for source in sources:
            selector.register(source.fileno(), selectors.EVENT_READ)
        selector.select(max(timeout, 0.0))

"""How what runs until it is told to stop is told: by SIGTERM or Ctrl-C."""

import atexit
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from durian.wire.wakeup import Wakeup, wait_readable

SIGNALS = (signal.SIGTERM, signal.SIGINT)
INTERRUPTED = 130
"""The exit code that shells give a program that Ctrl-C has ended: 128 + SIGINT."""
TERMINATED = 143
"""The same for SIGTERM."""


class Terminated(KeyboardInterrupt):
    """SIGTERM has come to what ends by Ctrl-C."""


@contextmanager
def ending_by_sigterm() -> Iterator[None]:
    """Have SIGTERM raise Terminated during the block, as Ctrl-C raises KeyboardInterrupt.

    By default it would end the process with nothing said. In the main thread only.
    """
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def code_of(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code of what `interrupt` has ended."""
    return TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED


def _terminate(*_: object) -> None:
    # Each time: Python ignores what a signal raises in the midst of a finalizer.
    raise Terminated


class Stopping:
    """Says whether it is time to stop.

    Not a threading.Event: a signal comes while the main thread waits, and would wait for the lock
    that this very thread may hold.
    """

    def __init__(self) -> None:
        self._asked = False
        self._wakeup = Wakeup()

    def ask(self) -> None:
        """Say that it is time."""
        self._asked = True
        self._wakeup.set()

    def is_set(self) -> bool:
        """Say whether it is time."""
        return self._asked

    def wait(self, seconds: float | None = None) -> bool:
        """Return when it is time, or after `seconds` at most; say whether it is."""
        if not self._asked:
            wait_readable([self._wakeup], seconds)
        return self._asked


def set_by_signals() -> Stopping:
    """Return what SIGTERM and Ctrl-C set from now on, however often they come.

    Also where a shell has started it in the background, deaf to SIGINT. In the main thread only.
    """
    stopping = Stopping()
    for number in SIGNALS:
        signal.signal(number, lambda *_: stopping.ask())
    # At its end Python takes its handlers away: one signal more would kill what has ended well.
    atexit.register(_ignore)
    return stopping


def _ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)

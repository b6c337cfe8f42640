"""How what runs until it is told to stop is told: by SIGTERM or Ctrl-C."""

import signal
import threading


def set_by_signals() -> threading.Event:
    """Return what SIGTERM and Ctrl-C set from now on, however often they come.

    Also where a shell has started it in the background, deaf to SIGINT. In the main thread only.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping

"""Free ports, and waiting for a condition with a bound."""

import random
import socket
import time
from collections.abc import Callable
from pathlib import Path

FIRST_PORT = 20_000
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Where Linux says from which port on it takes those of outgoing connections."""


class TimedOut(AssertionError):
    """What a test waited for did not come in time."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on.

    It lies below those of outgoing connections: one of them could otherwise take the port of a
    server that is being restarted.
    """
    end = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 32_768
    while True:
        port = random.randrange(FIRST_PORT, max(end, FIRST_PORT + 1_000))
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def wait_until(
    condition: Callable[[], object], timeout: float, what: str, every: float = 0.02
) -> None:
    """Return once `condition()` is true; raise TimedOut naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimedOut(f"waited {timeout:g} s in vain: {what}")
        time.sleep(every)

"""What has arrived at the receiver, as its log tells."""

import time
from collections.abc import Collection
from pathlib import Path

from tests.servers.free import wait_until


class Arrivals:
    """The lines that a receiver's log gets from now on: seconds since the epoch and webhook-id."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._start = log.stat().st_size
        self._read_to = self._start
        self._count = 0

    def count(self) -> int:
        """Return how many requests have arrived."""
        with self._log.open("rb") as log:
            log.seek(self._read_to)
            fresh = log.read()
        self._read_to += len(fresh)
        self._count += fresh.count(b"\n")
        return self._count

    def wait_for(self, expected: int, seconds: float) -> int:
        """Return once `expected` have arrived, or after so many seconds, how many have."""
        deadline = time.monotonic() + seconds
        while self.count() < expected and time.monotonic() < deadline:
            time.sleep(0.02)
        return self._count

    def all(self) -> list[tuple[float, str]]:
        """Return when each request arrived and its id, in the log's order."""
        with self._log.open("rb") as log:
            log.seek(self._start)
            lines = log.read().decode().splitlines()
        return [(float(moment), name) for moment, name in (line.split(" ") for line in lines)]

    def of(self, names: Collection[str], seconds: float) -> dict[str, float]:
        """Return when each of `names` arrived first; raise TimedOut if one has not in time."""
        came: dict[str, float] = {}

        def complete() -> bool:
            came.update((name, moment) for moment, name in reversed(self.all()))
            return came.keys() >= set(names)

        wait_until(complete, seconds, f"{len(names)} events arrive", every=0.1)
        return came

    def first(self) -> float:
        """Return when the first request arrived."""
        return self.all()[0][0]

    def rate(self, since: float | None = None) -> float:
        """Return requests a second from `since` (default: the first) to the last."""
        moments = [moment for moment, _ in self.all()]
        if len(moments) < 2:
            return 0.0
        return len(moments) / max(max(moments) - (since or min(moments)), 1e-3)

"""Hosts whose connections may be dead, with nobody there to say so.

After an exchange that timed out libcurl closes a connection of HTTP/1.1. One of HTTP/2 it goes on
sharing among all that come, and none of them is answered, until it has been left alone for a while.
"""

import time
from collections.abc import Callable

from deliverer.http import LIFETIME_SECONDS

SILENT_SECONDS = 2.0 * LIFETIME_SECONDS
"""For how long no HTTP/2 is spoken there: then no connection of before is taken any more."""
MAX_KEPT = 10_000

Place = tuple[str, int]
"""A host and a port."""


class Silence:
    """For one thread; `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[Place, float] = {}

    def __bool__(self) -> bool:
        return bool(self._until)

    def note(self, place: Place) -> None:
        """Take note of an exchange that timed out."""
        if len(self._until) >= MAX_KEPT:
            self._until.clear()
        self._until[place] = self._clock() + SILENT_SECONDS

    def holds(self, place: Place) -> bool:
        """Say whether no connection is to be shared there for now."""
        until = self._until.get(place)
        if until is None:
            return False
        if until > self._clock():
            return True
        del self._until[place]
        return False

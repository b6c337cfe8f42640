"""Listeners kept in memory, and kept fresh by the version of their set."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

from django.db import router
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from durian import match
from durian.audience import Audience
from durian.database import available
from durian.errors import InvalidFilter, Unavailable
from durian.lasting import forget, keep, lasting
from durian.models import DeletedListener, Listener, ListenerClock

logger = logging.getLogger("durian")

_Asked = tuple[match.Filter, Any]
"""A filter, and the JSON that it is of."""

LOOK_SECONDS = 0.5
"""How often `watch` looks at the version though no event asks for it."""
READ_AT_ONCE = 1_000
MANY_CHANGES = 5_000
"""After so many the garbage collector is kept from looking at them, as it is from the first reading
of the listeners: its next full collection would take longer than an event should wait."""


class Listeners:
    """All active listeners: which of them want an event?

    `watch` and `catch_up` are for threads of their own, `matching` for one other: an event waits
    only for changes that it was raised after and that are not applied yet.
    """

    def __init__(self) -> None:
        self._version = -1
        self._beyond, self._believed_until = 0, 0.0
        """What was asked for last and the clock had not come to, and for how long that counts."""
        self._audience = Audience()
        self._changes = 0
        self._reading = threading.Lock()
        """Held while the database is read: by one thread at a time."""
        self._using = threading.Lock()
        """Held while the audience is asked, or changed by one listener: never for long."""
        self._stopping = threading.Event()

    def __len__(self) -> int:
        return len(self._audience)

    def is_behind(self, version: int) -> bool:
        """Say whether there are changes up to `version` that are not known yet. From any thread."""
        return version > self._version and not self._was_beyond(version)

    def _was_beyond(self, version: int) -> bool:
        # Of a restored database, events may wait that were raised when it had seen more. Thousands
        # have the same version: they need not ask one by one what the clock says to it.
        return version == self._beyond and time.monotonic() < self._believed_until

    def catch_up(self, version: int) -> None:
        """Know every change up to `version`. Raises Unavailable when the database is away."""
        with self._reading:
            # Else `watch` was about it.
            if self.is_behind(version):
                self._refresh()
                if version > self._version:
                    self._beyond, self._believed_until = version, time.monotonic() + LOOK_SECONDS

    def matching(self, hook: str, payload: Any) -> list[int]:
        """Return the ids of the listeners that want an event of `hook` with `payload`.

        Raises Unavailable when a hook's own `event_filter` asks a database that is away.
        """
        with self._using:
            return self._audience.matching(hook, payload)

    def watch(self) -> None:
        """Apply changes as they are made, until `stop`; looks every LOOK_SECONDS.

        Only so is a restored database noticed, whose versions are smaller.
        """
        while not self._stopping.is_set():
            try:
                self.refresh()
            except Unavailable as error:
                logger.warning("Changes of listeners are not seen for now: %s", error)
            self._stopping.wait(LOOK_SECONDS)

    def stop(self) -> None:
        """Let `watch` return."""
        self._stopping.set()

    def refresh(self) -> None:
        """Know every change until now. Raises Unavailable when the database is away."""
        with self._reading:
            self._refresh()

    def _refresh(self) -> None:
        home = router.db_for_write(Listener)
        with available(home):
            # The version first: what changes from here on is read again, at the next time.
            now = ListenerClock.now()
            if now < self._version:
                # A database restored from a backup: what is known counts for nothing. From here on
                # every event waits.
                self._version = -1
            if self._version < 0:
                self._read_all(home)
            elif now > self._version:
                self._read_changes(home)
            self._version = now

    def _read_all(self, home: str) -> None:
        audience = Audience()
        with lasting():
            active = Listener.objects.using(home).filter(state=Listener.State.ACTIVE)
            for listener, hook, asked in _read(active):
                if asked:
                    audience.put(listener, hook, *asked)
        old, self._audience, self._changes = len(self._audience), audience, 0
        if old:
            # It is full of cycles, which no collection was to look at any more.
            forget()
            keep()

    def _read_changes(self, home: str) -> None:
        # Deletions first: a listener may have come back since, under its old number.
        deleted = DeletedListener.objects.using(home).filter(version__gt=self._version)
        for listener in deleted.values_list("listener_id", flat=True):
            with self._using:
                self._audience.remove(listener)
        changed = Listener.objects.using(home).filter(version__gt=self._version)
        for listener, hook, asked in _read(changed):
            # One at a time: the events that need none of them go on in between.
            with self._using:
                if asked:
                    self._audience.put(listener, hook, *asked)
                else:
                    self._audience.remove(listener)
            self._changes += 1
            if self._changes > MANY_CHANGES:
                keep()
                self._changes = 0


def _read(listeners: "QuerySet[Listener]") -> Iterator[tuple[int, str, _Asked | None]]:
    """Yield number, hook and what is asked for, None for who receives nothing."""
    # As text: what Python cannot read of one row's JSON must not keep it from the others.
    rows = listeners.values_list("id", "hook", Cast("match", TextField()), "state")
    for listener, hook, text, state in rows.iterator(chunk_size=READ_AT_ONCE):
        active = state == Listener.State.ACTIVE
        yield listener, hook, _asked(listener, text) if active else None


def _asked(listener: int, text: str) -> _Asked | None:
    try:
        conditions = json.loads(text)
        return match.parse(conditions, len(text)), conditions
    except (InvalidFilter, ValueError, RecursionError) as error:
        logger.error("Listener %d receives nothing, its filter is invalid: %s", listener, error)
        return None

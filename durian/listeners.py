"""Listeners kept in memory, and kept fresh by the version of their set."""

import json
import logging
import time
from contextlib import nullcontext
from typing import Any

from django.db import router
from django.db.models import TextField
from django.db.models.functions import Cast

from durian import match
from durian.database import available
from durian.errors import InvalidFilter
from durian.hook import Hook
from durian.lasting import forget, lasting
from durian.models import DeletedListener, Listener, ListenerClock
from durian.names import fits, is_pattern
from durian.patterns import Patterns
from durian.registry import hooks

logger = logging.getLogger("durian")

LOOK_SECONDS = 1.0
"""How often to look at the version though no event asks for it: only so is a restored database
noticed, whose versions are smaller."""

MANY_CHANGES = 10_000
"""After so many the garbage collector is kept from looking at them at every collection, as it is
from the first reading of the listeners."""


class Listeners:
    """All active listeners: which of them want an event? For one thread."""

    def __init__(self) -> None:
        self._clear()
        self._next_look = 0.0

    def __len__(self) -> int:
        return len(self._shelf_of)

    def catch_up(self, version: int) -> None:
        """Know every change up to `version`. Raises Unavailable when the database is away."""
        if version > self._version or time.monotonic() >= self._next_look:
            home = router.db_for_write(Listener)
            with available(home):
                self._refresh(home)
            self._next_look = time.monotonic() + LOOK_SECONDS

    def matching(self, hook: str, payload: Any) -> list[int]:
        """Return the ids of the listeners that want an event of `hook` with `payload`."""
        exact = self._exact.get(hook)
        found = exact.matching(hook, payload) if exact else []
        for shelf in self._patterns.fitting(hook):
            found.extend(shelf.matching(hook, payload))
        return found

    def _clear(self) -> None:
        self._version = -1
        self._changes = 0
        self._shelf_of: dict[int, _Shelf] = {}
        self._exact: dict[str, _Shelf] = {}
        self._patterns: Patterns[_Shelf] = Patterns()

    def _refresh(self, home: str) -> None:
        # The version first: what changes from here on is read again, at the next time.
        now = ListenerClock.now()
        if now == self._version:
            return
        if now < self._version:
            # A database restored from a backup: what is known counts for nothing.
            self._version = -1
            forget()
        if self._version < 0:
            self._clear()  # of what a reading that failed has left
        many = self._version < 0 or self._changes > MANY_CHANGES
        with lasting() if many else nullcontext():
            self._read(home)
        self._changes = 0 if many else self._changes
        self._version = now

    def _read(self, home: str) -> None:
        listeners = Listener.objects.using(home)
        if self._version < 0:
            listeners = listeners.filter(state=Listener.State.ACTIVE)
        else:
            # Deletions first: a listener may have come back since, under its old number.
            deleted = DeletedListener.objects.using(home).filter(version__gt=self._version)
            for listener in deleted.values_list("listener_id", flat=True):
                self._remove(listener)
            listeners = listeners.filter(version__gt=self._version)
        # As text: what Python cannot read of one row's JSON must not keep it from the others.
        rows = listeners.values_list("id", "hook", Cast("match", TextField()), "state")
        for row in rows.iterator(chunk_size=10_000):
            self._put(*row)

    def _put(self, listener: int, hook: str, text: str, state: str) -> None:
        self._changes += 1
        known = self._shelf_of.get(listener)
        if known and (known.hook != hook or state != Listener.State.ACTIVE):
            self._remove(listener)
        if state != Listener.State.ACTIVE:
            return
        try:
            conditions = json.loads(text)
            wanted = match.parse(conditions, len(text))
        except (InvalidFilter, ValueError, RecursionError) as error:
            logger.error("Listener %d receives nothing, its filter is invalid: %s", listener, error)
            self._remove(listener)
            return
        shelf = self._shelf_of[listener] = self._shelf(hook)
        shelf.put(listener, wanted, conditions)

    def _shelf(self, hook: str) -> "_Shelf":
        shelf = self._patterns.get(hook) if is_pattern(hook) else self._exact.get(hook)
        if shelf is None:
            shelf = _Shelf(hook)
            if is_pattern(hook):
                self._patterns.put(hook, shelf)
            else:
                self._exact[hook] = shelf
        return shelf

    def _remove(self, listener: int) -> None:
        shelf = self._shelf_of.pop(listener, None)
        if shelf is None:
            return
        shelf.remove(listener)
        if len(shelf):
            return
        if is_pattern(shelf.hook):
            self._patterns.drop(shelf.hook)
        else:
            del self._exact[shelf.hook]


class _Shelf:
    """The listeners of one hook, or of one pattern of hooks.

    Their filters are kept as JSON too where a hook has an `event_filter` of its own to ask.
    """

    def __init__(self, hook: str) -> None:
        self.hook = hook
        self._index = match.FilterIndex()
        self._conditions: dict[int, Any] = {}
        self._keeps_conditions = any(
            has_own_filter(one) and (one.name == hook or fits(hook, one.name))
            for one in hooks.all()
        )

    def __len__(self) -> int:
        return len(self._index)

    def put(self, listener: int, wanted: match.Filter, conditions: Any) -> None:
        self._index.add(listener, wanted)
        if self._keeps_conditions:
            self._conditions[listener] = conditions

    def remove(self, listener: int) -> None:
        self._index.remove(listener)
        self._conditions.pop(listener, None)

    def matching(self, name: str, payload: Any) -> list[int]:
        hook = hooks.get(name)
        if hook is None or not has_own_filter(hook):
            return self._index.matching(payload)
        return [
            listener
            for listener, conditions in self._conditions.items()
            if hook.event_filter(None, payload, conditions)
        ]


def has_own_filter(hook: Hook) -> bool:
    """Say whether `hook` decides by an `event_filter` of its own."""
    return type(hook).event_filter is not Hook.event_filter

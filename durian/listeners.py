"""Listeners kept in memory, and kept fresh by the version of their set."""

import json
import logging
import time
from collections.abc import Iterable
from typing import Any

from django.db import router
from django.db.models import TextField
from django.db.models.functions import Cast

from durian import match
from durian.database import available
from durian.errors import InvalidFilter
from durian.hook import Hook
from durian.models import DeletedListener, Listener, ListenerClock
from durian.names import fits, is_pattern
from durian.registry import hooks

logger = logging.getLogger("durian")

LOOK_SECONDS = 1.0
"""How often to look at the version though no event asks for it: only so is a restored database
noticed, whose versions are smaller."""

Row = tuple[int, str, str, str]


class Listeners:
    """All active listeners: which of them want an event? For one thread."""

    def __init__(self) -> None:
        self._version = -1
        self._next_look = 0.0
        self._hook_of: dict[int, str] = {}
        self._exact: dict[str, _Shelf] = {}
        self._patterns: dict[str, _Shelf] = {}

    def __len__(self) -> int:
        return len(self._hook_of)

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
        for pattern, shelf in self._patterns.items():
            if fits(pattern, hook):
                found.extend(shelf.matching(hook, payload))
        return found

    def _refresh(self, home: str) -> None:
        # The version first: what changes from here on is read again, at the next time.
        now = ListenerClock.now()
        if now == self._version:
            return
        if now < self._version:
            # A database restored from a backup: what is known counts for nothing.
            self._version, self._hook_of, self._exact, self._patterns = -1, {}, {}, {}
        # As text: what Python cannot read of one row's JSON must not keep it from the others.
        rows = Listener.objects.using(home).values_list(
            "id", "hook", Cast("match", TextField()), "state"
        )
        if self._version < 0:
            self._put(rows.filter(state=Listener.State.ACTIVE).iterator(chunk_size=10_000))
        else:
            # Deletions first: a listener may have come back since, under its old number.
            deleted = DeletedListener.objects.using(home).filter(version__gt=self._version)
            for listener in deleted.values_list("listener_id", flat=True):
                self._remove(listener)
            self._put(rows.filter(version__gt=self._version))
        self._version = now

    def _put(self, rows: Iterable[Row]) -> None:
        for listener, hook, text, state in rows:
            self._remove(listener)
            if state == Listener.State.ACTIVE:
                self._add(listener, hook, text)

    def _add(self, listener: int, hook: str, text: str) -> None:
        try:
            conditions = json.loads(text)
            wanted = match.parse(conditions)
        except (InvalidFilter, ValueError, RecursionError) as error:
            logger.error("Listener %d receives nothing, its filter is invalid: %s", listener, error)
            return
        shelves = self._patterns if is_pattern(hook) else self._exact
        shelf = shelves.get(hook)
        if shelf is None:
            shelf = shelves[hook] = _Shelf(hook)
        shelf.add(listener, wanted, conditions)
        self._hook_of[listener] = hook

    def _remove(self, listener: int) -> None:
        hook = self._hook_of.pop(listener, None)
        if hook is None:
            return
        shelves = self._patterns if is_pattern(hook) else self._exact
        shelf = shelves[hook]
        shelf.remove(listener)
        if not len(shelf):
            del shelves[hook]


class _Shelf:
    """The listeners of one hook, or of one pattern of hooks.

    Their filters are kept as JSON too where a hook has an `event_filter` of its own to ask.
    """

    def __init__(self, hook: str) -> None:
        self._index = match.FilterIndex()
        self._conditions: dict[int, Any] = {}
        self._keeps_conditions = any(
            has_own_filter(one) and (one.name == hook or fits(hook, one.name))
            for one in hooks.all()
        )

    def __len__(self) -> int:
        return len(self._index)

    def add(self, listener: int, wanted: match.Filter, conditions: Any) -> None:
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

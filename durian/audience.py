"""Who wants an event: the listeners' filters, by hook and by pattern of hooks."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from durian import match
from durian.database import available_to_the_site
from durian.errors import Unavailable
from durian.hook import Hook
from durian.match import effort
from durian.names import fits, is_pattern
from durian.patterns import Patterns
from durian.registry import hooks

logger = logging.getLogger("durian")


Complain = Callable[[str, Sequence[int], Exception], None]
"""Is told for which hook the filters of which listeners failed, and how the first of them did."""


def _log(hook: str, failed: Sequence[int], error: Exception) -> None:
    # Thousands fail alike: to tell of each would take longer than to ask them.
    logger.error(
        "Listener %d receives no event of %s: its filter fails. So do those of %d more.",
        failed[0],
        hook,
        len(failed) - 1,
        exc_info=error,
    )


class Audience:
    """Listeners by number, each with a hook or a pattern of hooks, and a filter."""

    def __init__(self, complain: Complain = _log) -> None:
        self._complain = complain
        self._shelf_of: dict[int, _Shelf] = {}
        self._exact: dict[str, _Shelf] = {}
        self._patterns: Patterns[_Shelf] = Patterns()

    def __len__(self) -> int:
        return len(self._shelf_of)

    def put(self, listener: int, hook: str, wanted: match.Filter, conditions: Any) -> None:
        """Have a listener, in the place of what was known of it; `conditions` is `wanted` as JSON.

        The JSON is kept where a hook has an `event_filter` of its own to ask.
        """
        known = self._shelf_of.get(listener)
        if known and known.hook != hook:
            self.remove(listener)
        shelf = self._shelf_of[listener] = self._shelf(hook)
        shelf.put(listener, wanted, conditions)

    def remove(self, listener: int) -> None:
        """Have that listener no more, if it was there."""
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

    def listens_to(self, hook: str) -> bool:
        """Say whether anybody may want an event of `hook`."""
        return hook in self._exact or bool(self._patterns.fitting(hook))

    def matching(self, hook: str, payload: Any) -> list[int]:
        """Return the listeners that want an event of `hook` with `payload`.

        A hook's own `event_filter` may raise: that is for the listener at fault alone, unless it
        does so for all of them. Raises Unavailable when it asks a database that is away.
        """
        return effort.together(lambda: self._matching(hook, payload))

    def _matching(self, hook: str, payload: Any) -> list[int]:
        exact = self._exact.get(hook)
        shelves = [*([exact] if exact else ()), *self._patterns.fitting(hook)]
        known = hooks.get(hook)
        if known and has_own_filter(known):
            conditions = {n: one for shelf in shelves for n, one in shelf.conditions.items()}
            return self._asked_one_by_one(known, payload, conditions)
        return [listener for shelf in shelves for listener in shelf.matching(payload)]

    def _asked_one_by_one(
        self, hook: Hook, payload: Any, conditions: Mapping[int, Any]
    ) -> list[int]:
        found, failed = list[int](), list[int]()
        first: Exception | None = None
        for listener, asked in conditions.items():
            try:
                with available_to_the_site():
                    if hook.event_filter(None, payload, asked):
                        found.append(listener)
            except Unavailable:
                raise
            except Exception as error:
                failed.append(listener)
                first = first or error
        if first and len(failed) == len(conditions):
            # The hook's own fault, most likely: the event is kept, as a dead letter.
            raise first
        if first:
            self._complain(hook.name, failed, first)
        return found

    def _shelf(self, hook: str) -> "_Shelf":
        shelf = self._patterns.get(hook) if is_pattern(hook) else self._exact.get(hook)
        if shelf is None:
            shelf = _Shelf(hook)
            if is_pattern(hook):
                self._patterns.put(hook, shelf)
            else:
                self._exact[hook] = shelf
        return shelf


class _Shelf:
    """The listeners of one hook, or of one pattern of hooks."""

    def __init__(self, hook: str) -> None:
        self.hook = hook
        self._index = match.FilterIndex()
        self.conditions: dict[int, Any] = {}
        """What each asks for as JSON, where a hook's own `event_filter` reads it."""
        self._keeps_conditions = _decide_themselves(hook)

    def __len__(self) -> int:
        return len(self._index)

    def put(self, listener: int, wanted: match.Filter, conditions: Any) -> None:
        self._index.add(listener, wanted)
        if self._keeps_conditions:
            self.conditions[listener] = conditions

    def remove(self, listener: int) -> None:
        self._index.remove(listener)
        self.conditions.pop(listener, None)

    def matching(self, payload: Any) -> list[int]:
        return self._index.matching(payload)


def _decide_themselves(hook: str) -> bool:
    """Say whether a hook of that name, or of that pattern, has an `event_filter` of its own."""
    if is_pattern(hook):
        return any(has_own_filter(one) and fits(hook, one.name) for one in hooks.all())
    known = hooks.get(hook)
    return known is not None and has_own_filter(known)


def has_own_filter(hook: Hook) -> bool:
    """Say whether `hook` decides by an `event_filter` of its own."""
    return type(hook).event_filter is not Hook.event_filter

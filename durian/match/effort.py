"""What filters may cost on one event: a bound on their steps, so that nobody's holds the others up.

Nearly all filters cost nothing that counts. What can is a condition on a long list, which looks at
every element, a comparison with a long list or object, and a search in a long text, for a part of
it or for a regular expression. The steps of these are counted, not timed: no answer depends on how
busy the machine is. When an event's steps are used up it depends on who was asked before; those
that have to be asked on every event are, in the order in which they came.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

logger = logging.getLogger("durian.match")

FILTER_STEPS: Final = 50_000_000
"""Steps of a filter that is asked by itself; they take a second at most on a slow machine."""
EVENT_STEPS: Final = 300_000_000
"""Steps of all filters on one event; after that each condition has LEAST_STEPS."""
LEAST_STEPS: Final = 100_000
ELEMENT: Final = 30
"""What a look at one element of a list or an object costs. A step is what RE2 does, at worst, for
one byte and one instruction of its program."""
STRIDE: Final = 32
"""A search costs a step for each character of the text, and one more for each so many of the part:
where the two are much alike, Python compares most of the part again and again. At worst a step
takes as long as one of RE2."""
LONGEST: Final = 256
"""A part counts as no longer: in all but short texts Python takes linear time for a long one."""


Answer = TypeVar("Answer")


class TooMuch(Exception):
    """The steps are used up."""


class _Purse(threading.local):
    left: float = float("inf")


_purse = _Purse()


def together(ask: Callable[[], Answer]) -> Answer:
    """Return what `ask` returns; all that it asks about an event has EVENT_STEPS together.

    Within another one it has what that has left.
    """
    if _purse.left <= EVENT_STEPS:
        return ask()
    _purse.left = EVENT_STEPS
    try:
        return ask()
    finally:
        _purse.left = float("inf")


def spend(steps: int) -> None:
    """Count `steps`. Raises TooMuch when there are none left."""
    _purse.left -= steps
    if _purse.left < 0:
        raise TooMuch


def look_at(elements: int) -> None:
    """Count a look at so many elements of a list or an object. Raises TooMuch."""
    spend(elements * ELEMENT)


def look_for(part: str, text: str) -> None:
    """Count a search for a part of a text. Raises TooMuch."""
    spend(len(text) * (1 + min(len(part), LONGEST) // STRIDE))


def left() -> float:
    """Return how many steps are left, infinitely many if none are counted."""
    return _purse.left


def within(steps: float, ask: Callable[[], bool]) -> bool | None:
    """Return what `ask` returns if it takes no more than `steps`, else None.

    They count to what was allowed before, which may have less left than that.
    """
    before = _purse.left
    _purse.left = steps
    try:
        return ask()
    except TooMuch:
        return None
    finally:
        _purse.left = max(before - (steps - max(_purse.left, 0)), 0)


def report(conditions: Sequence[object]) -> None:
    """Say of conditions that they cost too much and count as met."""
    if conditions:
        logger.warning(
            "%d conditions take too many steps on an event and count as met, such as %.300r",
            len(conditions),
            conditions[0],
        )

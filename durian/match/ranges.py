"""Shelves for comparisons: which of many ranges, or open ends, a value lies in."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from math import floor, frexp, inf, ldexp
from typing import Any

from durian.match.literal import NUMBERS
from durian.match.places import Place
from durian.match.shelves import AFFIX, Looks, Measured, Shelf, Token

# Beginnings under which a range of texts is filed at most.
WAYS = 16
# The numbers between which ranges are told apart by cells, and the exponent of the finest cell's
# size, which has to be even.
LARGEST = 2.0**62
FINEST = -20


class Cells(Measured):
    """Tokens are cells of a ruler, as `(size, place)`: where ranges with two ends lie.

    A range is in at most two cells, of the power of four that is next above its width: with those
    of two a look-up would ask for twice as many.
    """

    __slots__ = ()

    def measure(self, token: Token) -> int:
        """The cell's size."""
        return token[0] if isinstance(token, tuple) else 0

    def tokens(self, values: list[object], looks: Looks) -> Iterable[Token]:
        """The cells of the sizes in use in which the numbers lie."""
        numbers = [number for number in map(as_float, values) if number is not None]
        return {
            (size, floor(ldexp(number, -size)))
            for number in numbers
            if abs(number) <= LARGEST
            for size in self.measures
        }


class _Ends(Shelf):
    """Tokens are the one end of open ranges, numbers as floats and texts, each kind in order."""

    __slots__ = ("ordered",)
    rank = 1

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.ordered: dict[type, Ordered] = {float: Ordered(), str: Ordered()}

    def put(self, token: Token, bucket: Any) -> None:
        """Have a bucket, in order."""
        if token not in self.buckets:
            self.ordered[type(token)].add(token)
        super().put(token, bucket)

    def drop(self, token: Token) -> None:
        """Have the bucket no more."""
        super().drop(token)
        self.ordered[type(token)].remove(token)

    def _by_kind(self, values: list[object]) -> Iterator[tuple["Ordered", list[Any]]]:
        ends = [end for end in map(as_end, values) if end is not None]
        for kind, ordered in self.ordered.items():
            if of_kind := [end for end in ends if type(end) is kind]:
                yield ordered, of_kind


class Above(_Ends):
    """Tokens are lower ends: what a value has to reach."""

    __slots__ = ()

    def tokens(self, values: list[object], looks: Looks) -> Iterable[Token]:
        """The ends up to the greatest of the values."""
        for ordered, ends in self._by_kind(values):
            yield from ordered.up_to(max(ends))


class Below(_Ends):
    """Tokens are upper ends: what a value must not pass."""

    __slots__ = ()

    def tokens(self, values: list[object], looks: Looks) -> Iterable[Token]:
        """The ends from the least of the values on."""
        for ordered, ends in self._by_kind(values):
            yield from ordered.from_on(min(ends))


class Ordered:
    """Different things in order.

    What is added waits until it is asked for: to put a million ends into their places one by one
    would take minutes, to sort them takes a second.
    """

    __slots__ = ("_fresh", "_items")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._fresh: list[Any] = []

    def add(self, item: Any) -> None:
        """Have one item more."""
        self._fresh.append(item)

    def remove(self, item: Any) -> None:
        """Have one item less."""
        items = self._settled()
        del items[bisect_left(items, item)]

    def up_to(self, item: Any) -> list[Any]:
        """Those not above `item`."""
        items = self._settled()
        return items[: bisect_right(items, item)]

    def from_on(self, item: Any) -> list[Any]:
        """Those not below `item`."""
        items = self._settled()
        return items[bisect_left(items, item) :]

    def _settled(self) -> list[Any]:
        if len(self._fresh) > 64:
            self._items.extend(self._fresh)
            self._items.sort()
        else:
            for item in self._fresh:
                insort(self._items, item)
        self._fresh.clear()
        return self._items


def as_end(value: object) -> float | str | None:
    """What a value is ordered by, or None when it cannot be."""
    return value if isinstance(value, str) else as_float(value)


def as_float(value: object) -> float | None:
    """A number as a float that keeps the order (large ones may become equal), else None."""
    if isinstance(value, bool) or not isinstance(value, NUMBERS):
        return None
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def cells(low: float, high: float) -> list[Token]:
    """The cells that a range lies in; none when it is empty. Its ends are at most `LARGEST`."""
    if low > high:
        return []
    size = max(FINEST, frexp(high - low)[1])
    size += size % 2  # even: a power of four
    first, last = (floor(ldexp(end, -size)) for end in (low, high))
    return [(size, place) for place in range(first, last + 1)]


def beginnings(low: str, high: str) -> list[Token] | None:
    """How the texts of a range begin; None when in too many ways, [] when it is empty."""
    if low > high:
        return []
    pairs = enumerate(zip(low, high, strict=False))
    alike = next((at for at, (one, other) in pairs if one != other), min(len(low), len(high)))
    shared = low[: min(alike, AFFIX)]
    if alike < min(len(low), AFFIX):
        ways = range(ord(low[alike]), ord(high[alike]) + 1)
        if len(ways) <= WAYS:
            return [shared + chr(way) for way in ways]
    return [shared] if shared else None

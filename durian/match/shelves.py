"""Ways to find, among many, the conditions on one field that a value may satisfy.

A shelf keeps buckets by token: a token is what a value must have so that the filters in its
bucket can match. A look-up costs what is in use (lengths, sizes), not how many buckets there are.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any, ClassVar

from durian.match.literal import CONTAINERS, PLAIN, freeze
from durian.match.places import Place

AFFIX = 32

Token = Hashable
Looks = dict["tuple[Place, type[Shelf]]", Any]
"""What the shelves of one kind and place have found on one event, for the next of them."""


class Shelf:
    """Buckets (or branches, in the place of crowded ones) by token, for the values at a place.

    `rank` says how well tokens of this kind tell filters apart: the lower the better.
    """

    __slots__ = ("buckets", "place")
    rank: ClassVar[int] = 0

    def __init__(self, place: Place) -> None:
        self.place = place
        self.buckets: dict[Token, Any] = {}

    def put(self, token: Token, bucket: Any) -> None:
        """Have a bucket for a token; one that is there is replaced."""
        self.buckets[token] = bucket

    def drop(self, token: Token) -> None:
        """Have no bucket for that token any more."""
        del self.buckets[token]

    def tokens(self, values: list[object], looks: Looks) -> Iterable[Token]:
        """The tokens that values have, of those that may have a bucket; each but once."""
        raise TypeError(f"{type(self).__name__} is not a shelf of its own")


class Present(Shelf):
    """One bucket, for any value: the conditions that no other shelf can take."""

    __slots__ = ()
    rank = 2

    def tokens(self, values: list[object], looks: Looks) -> Iterable[Token]:
        """The only one."""
        return (None,)


class Exact(Shelf):
    """Tokens are scalars, frozen."""

    __slots__ = ()

    def tokens(self, values: list[object], looks: Looks) -> Iterable[Token]:
        """The values themselves."""
        if len(values) == 1 and type(values[0]) in PLAIN:  # as nearly all are
            return values
        return {freeze(value) for value in values if not isinstance(value, CONTAINERS)}


class Measured(Shelf):
    """A shelf that knows of which measures (lengths, sizes) its tokens are."""

    __slots__ = ("measures",)

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.measures: Counter[int] = Counter()

    def measure(self, token: Token) -> int:
        """The token's measure."""
        return len(token) if isinstance(token, str) else 0

    def put(self, token: Token, bucket: Any) -> None:
        """Have a bucket, and its measure."""
        if token not in self.buckets:
            self.measures[self.measure(token)] += 1
        super().put(token, bucket)

    def drop(self, token: Token) -> None:
        """Have the bucket no more; its measure goes with the last that is of it."""
        super().drop(token)
        size = self.measure(token)
        self.measures[size] -= 1
        if not self.measures[size]:
            del self.measures[size]


class Prefixes(Measured):
    """Tokens are the first characters, at most `AFFIX`."""

    __slots__ = ()

    def tokens(self, values: list[object], looks: Looks) -> Iterable[Token]:
        """The beginnings of the lengths in use."""
        return {text[:length] for text in texts_of(values) for length in self.measures}


class Suffixes(Measured):
    """Tokens are the last characters, at most `AFFIX`."""

    __slots__ = ()

    def tokens(self, values: list[object], looks: Looks) -> Iterable[Token]:
        """The ends of the lengths in use."""
        return {text[-length:] for text in texts_of(values) for length in self.measures}


def texts_of(values: list[object]) -> list[str]:
    """Those of the values that are texts."""
    return [value for value in values if isinstance(value, str)]

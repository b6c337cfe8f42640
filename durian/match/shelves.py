"""Ways to find, among many, the conditions on one field that a value may satisfy.

A shelf keeps buckets by token: a token is what a value must have so that the filters in its
bucket can match. A look-up costs what is in use (lengths, sizes), not how many buckets there are.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any, ClassVar, Final, cast

from durian.match.literal import CONTAINERS, PLAIN, freeze
from durian.match.places import Place

GRAM = 6
HALF = GRAM // 2
AFFIX = 32
FEW: Final = 64
"""Parts of one length that a text is searched for one by one; of more, the text's own parts are
looked up. A search takes 0.7 ns for a character of the text, 4 at worst, and a look-up 100 to 400
however many parts there are."""

Token = Hashable


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

    def tokens(self, values: list[object]) -> Iterable[Token]:
        """The tokens that values have, of those that may have a bucket; each but once."""
        raise TypeError(f"{type(self).__name__} is not a shelf of its own")


class Present(Shelf):
    """One bucket, for any value: the conditions that no other shelf can take."""

    __slots__ = ()
    rank = 2

    def tokens(self, values: list[object]) -> Iterable[Token]:
        """The only one."""
        return (None,)


class Exact(Shelf):
    """Tokens are scalars, frozen."""

    __slots__ = ()

    def tokens(self, values: list[object]) -> Iterable[Token]:
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

    def tokens(self, values: list[object]) -> Iterable[Token]:
        """The beginnings of the lengths in use."""
        return {text[:length] for text in _texts(values) for length in self.measures}


class Suffixes(Measured):
    """Tokens are the last characters, at most `AFFIX`."""

    __slots__ = ()

    def tokens(self, values: list[object]) -> Iterable[Token]:
        """The ends of the lengths in use."""
        return {text[-length:] for text in _texts(values) for length in self.measures}


class Grams(Measured):
    """Tokens are parts of a string, at most `GRAM` characters.

    A look-up costs a step for each character and length in use. An Aho-Corasick automaton is
    faster on long texts, but cannot be changed: one listener more among a million would cost
    seconds and twice the memory.
    """

    __slots__ = ()

    def tokens(self, values: list[object]) -> Iterable[Token]:
        """The parts that have a bucket."""
        found: set[Token] = set()
        for text in _texts(values):
            if len(self.buckets) <= min(len(text), FEW * len(self.measures)):
                found.update(part for part in self.buckets if cast("str", part) in text)
            else:
                found |= self.buckets.keys() & self._parts(text)
        return found

    def _parts(self, text: str) -> Iterable[str]:
        for length in self.measures:
            for at in range(len(text) - length + 1):
                yield text[at : at + length]


class Gaps(Grams):
    """Tokens are parts of a string around a space: a text has fewer of them than of other parts."""

    __slots__ = ()

    def _parts(self, text: str) -> Iterable[str]:
        return around_spaces(text)


def around_spaces(text: str) -> list[str]:
    """The parts of `GRAM` characters that have a space in their middle."""
    parts: list[str] = []
    at, last = text.find(" ", HALF), len(text) - HALF
    while 0 <= at <= last:
        parts.append(text[at - HALF : at + HALF])
        at = text.find(" ", at + 1)
    return parts


def _texts(values: list[object]) -> list[str]:
    return [value for value in values if isinstance(value, str)]

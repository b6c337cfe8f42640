"""Shelves for parts of texts: which of many parts a text has."""

from collections.abc import Iterable
from typing import Final, cast

from durian.match.shelves import Looks, Measured, Token, texts_of

GRAM: Final = 6
HALF: Final = GRAM // 2
FEW: Final = 64
"""Parts of one length that a text is searched for one by one; of more, the text's own parts are
looked up. A search takes 0.7 ns for a character of the text, 4 at worst, and a look-up 100 to 400
however many parts there are."""
SHORT: Final = 500
"""Characters of a text that each shelf looks at by itself, since that is less than to remember."""


class Grams(Measured):
    """Tokens are parts of a string, at most `GRAM` characters.

    A look-up costs a step for each character and length in use. An Aho-Corasick automaton is
    faster on long texts, but cannot be changed: one listener more among a million would cost
    seconds and twice the memory.
    """

    __slots__ = ()

    def tokens(self, values: list[object], looks: Looks) -> Iterable[Token]:
        """The parts that have a bucket."""
        texts = texts_of(values)
        size = sum(map(len, texts))
        few = min(size, FEW * len(self.measures))
        if size > SHORT:
            return self._look(texts, few, looks)
        if len(self.buckets) <= few:
            return self._search(texts)
        return self.buckets.keys() & self._parts(texts, self.measures)

    def _look(self, texts: list[str], few: int, looks: Looks) -> set[Token]:
        """The parts that have a bucket, by what was done for other shelves before."""
        key = (self.place, type(self))
        look: _Look = looks.get(key) or looks.setdefault(key, _Look())
        if look.searches + len(self.buckets) <= few:
            look.searches += len(self.buckets)
            return self._search(texts)
        if look.gone_through:
            return self.buckets.keys() & self._kept_parts(texts, look)
        look.gone_through = True
        return self.buckets.keys() & self._parts(texts, self.measures)

    def _kept_parts(self, texts: list[str], look: "_Look") -> set[str]:
        if lengths := self.measures.keys() - look.lengths:
            look.parts.update(self._parts(texts, lengths))
            look.lengths |= lengths
        return look.parts

    def _search(self, texts: list[str]) -> set[Token]:
        found: set[Token] = set()
        for text in texts:
            found.update(part for part in self.buckets if cast("str", part) in text)
        return found

    def _parts(self, texts: list[str], lengths: Iterable[int]) -> Iterable[str]:
        """All parts of these lengths that the texts have."""
        for text in texts:
            for length in lengths:
                for at in range(len(text) - length + 1):
                    yield text[at : at + length]


class Gaps(Grams):
    """Tokens are parts of a string around a space: a text has fewer of them than of other parts."""

    __slots__ = ()

    def _parts(self, texts: list[str], lengths: Iterable[int]) -> Iterable[str]:
        for text in texts:
            yield from around_spaces(text)


def around_spaces(text: str) -> list[str]:
    """The parts of `GRAM` characters that have a space in their middle."""
    parts: list[str] = []
    at, last = text.find(" ", HALF), len(text) - HALF
    while 0 <= at <= last:
        parts.append(text[at - HALF : at + HALF])
        at = text.find(" ", at + 1)
    return parts


class _Look:
    """What the shelves of one kind and place have done with an event's texts.

    A filter with a long `$in` may be filed in a thousand branches, and an event get to all of
    them. Together they search for no more parts than one shelf alone would. Where more are asked
    for, the first goes through the texts; the second keeps their parts for all who come after it.
    """

    __slots__ = ("gone_through", "lengths", "parts", "searches")

    def __init__(self) -> None:
        self.searches = 0
        self.gone_through = False
        self.lengths: set[int] = set()
        self.parts: set[str] = set()

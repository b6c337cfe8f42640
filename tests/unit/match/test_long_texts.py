"""What a long text costs does not grow with the number of filters that ask for a part of one."""

from itertools import pairwise
from random import Random
from typing import Any as Json

import pytest

from durian.match import FilterIndex, parse

RANDOM = Random(1)
HALVES = ["".join(RANDOM.choices("abcdefghijklmnopqrstuvwxyz", k=3)) for _ in range(2000)]


class Searched(str):
    """A text that counts how many parts it is searched for."""

    __slots__ = ("searches",)

    def __init__(self, text: str) -> None:
        self.searches = 0

    def __contains__(self, part: Json) -> bool:
        self.searches += 1
        return super().__contains__(part)


@pytest.mark.parametrize("gap", ["", " "], ids=["words", "phrases"])
def test_a_text_is_not_searched_for_what_each_filter_asks(gap: str) -> None:
    wanted = list(dict.fromkeys(gap.join(pair) for pair in pairwise(HALVES)))
    index = FilterIndex()
    for key, part in enumerate(wanted):
        index.add(key, parse({"a": {"$contains": part}}))
    text = Searched(", ".join([*(half[::-1] for half in HALVES), *wanted[7:10]]))
    found = [key for key, part in enumerate(wanted) if part in str(text)]
    assert len(text) > 4 * len(wanted)
    assert sorted(index.matching({"a": text})) == found
    assert text.searches < 100

"""What a long text costs does not grow with the number of filters that ask for a part of one."""

from itertools import pairwise
from random import Random
from typing import Any as Json

import pytest

from durian.match import FilterIndex, parse

RANDOM = Random(1)
HALVES = ["".join(RANDOM.choices("abcdefghijklmnopqrstuvwxyz", k=3)) for _ in range(2000)]


class Searched(str):
    """A text that counts how many parts it is searched for, and how many are taken from it."""

    __slots__ = ("searches", "taken")

    def __init__(self, text: str) -> None:
        self.searches = 0
        self.taken = 0

    def __getitem__(self, key: Json) -> str:
        self.taken += 1
        return super().__getitem__(key)

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


@pytest.mark.parametrize("asked", [18, 40, 100], ids=["few", "several", "many"])
@pytest.mark.parametrize("gap", ["", " "], ids=["words", "phrases"])
def test_a_text_is_not_searched_anew_for_each_element_of_a_list(asked: int, gap: str) -> None:
    """Filters with a long list of values are filed under each; an event may have them all."""
    tags = [f"tag {number}" for number in range(100)]
    parts = [f"{gap.join(pair)}{pair[0]}" for pair in pairwise(HALVES[:300])]
    wanted = {key: parts[key : key + 1] + parts[-1 - key : -key or None] for key in range(asked)}
    index = FilterIndex()
    for key, (part, other) in wanted.items():
        both = {"$and": [{"$contains": part}, {"$contains": other}]}
        index.add(key, parse({"tags": {"$in": tags}, "text": both}))
    text = Searched(", ".join([*HALVES, *parts[3:9], *parts[-9:-3]]))
    found = [key for key, both in wanted.items() if all(part in str(text) for part in both)]
    assert found == [3, 4, 5, 6, 7, 8]
    assert sorted(index.matching({"tags": tags, "text": text})) == found
    assert text.searches < 300
    assert text.taken <= 2 * len(text)

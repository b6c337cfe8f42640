"""Filters from and to JSON; the matching classes are allowed wherever an operator is."""

import json
from collections.abc import Mapping
from typing import Final, cast

from durian.errors import InvalidFilter
from durian.match.condition import Condition
from durian.match.filter import Filter
from durian.match.grammar import build
from durian.match.literal import CONTAINERS, MAX_DEPTH, children, show

MAX_CONDITIONS: Final = 1000
MAX_BYTES: Final = 64 * 1024
_NESTED: Final = (*CONTAINERS, Condition)
MAX_REGEXES: Final = 20
SHORT: Final = 200
"""A text of so many characters exceeds none of these: each regular expression takes ten at least,
a condition one, and a character four bytes at most."""


def parse(value: object, length: int | None = None) -> Filter:
    """The filter that a JSON object (matching classes allowed in it) spells.

    `length` is that of the text which the object was read from, in characters; a short one saves
    the measuring. Raises InvalidFilter, which names the place and the reason.
    """
    if not isinstance(value, dict):
        raise InvalidFilter(f"a filter is a JSON object, not {show(value)}")
    # Before anything recurses into it or compiles what it holds.
    _check_depth(value)
    size = length if length is not None and length <= SHORT else _check_size(value)
    condition = build(value)
    if size > MAX_CONDITIONS:  # each of which takes a character at least
        _check_count(condition)
    return Filter(condition)


def to_json(filter: Filter | Mapping[str, object]) -> dict[str, object]:
    """The filter as a JSON object; `parse` of that gives an equal filter.

    Takes a mapping with matching classes in it too, such as `{"name": Startswith("J")}`.
    """
    condition = (filter if isinstance(filter, Filter) else parse(dict(filter))).condition
    return cast("dict[str, object]", condition.to_json())


def deepmatch(match: Mapping[str, object], payload: Mapping[str, object]) -> bool:
    """Whether a payload has what `match` asks, at any depth.

    The values of `match` are matching classes, bare values or mappings of such.
    """
    return Filter(build(dict(match))).matches(payload)


def _check_depth(value: object, left: int = MAX_DEPTH) -> None:
    inner = children(_inner_form(value) if isinstance(value, Condition) else value)
    if inner and not left:
        raise InvalidFilter(f"the filter is nested deeper than {MAX_DEPTH} levels")
    for child in inner:
        if isinstance(child, _NESTED):
            _check_depth(child, left - 1)


def _check_size(value: object) -> int:
    try:
        text = _encoder.encode(value)
    except (TypeError, ValueError) as error:
        raise InvalidFilter(f"the filter cannot be written as JSON: {error}") from None
    if (size := len(text.encode("utf-8", "surrogatepass"))) > MAX_BYTES:
        raise InvalidFilter(f"the filter is {size} bytes of JSON; {MAX_BYTES} are allowed")
    # Before they are compiled: a program of RE2 takes up to 128 kB.
    if (regexes := text.count('"$regex"')) > MAX_REGEXES:
        raise InvalidFilter(
            f"the filter has {regexes} regular expressions; {MAX_REGEXES} are allowed: join them "
            "with | to one"
        )
    return size


def _inner_form(value: object) -> object:
    # What is neither JSON nor a condition is refused later, where its path is known.
    return value.to_json() if isinstance(value, Condition) else None


_encoder = json.JSONEncoder(ensure_ascii=False, default=_inner_form)


def _check_count(condition: Condition) -> None:
    if (count := _count(condition)) > MAX_CONDITIONS:
        raise InvalidFilter(f"the filter has {count} conditions; {MAX_CONDITIONS} are allowed")


def _count(condition: Condition) -> int:
    return sum(map(_count, condition.parts())) or 1

"""What a payload must have so that a condition can match: where to file a filter."""

from collections.abc import Callable, Iterator
from typing import Any as Anything
from typing import NamedTuple

from durian.match.compound import And, Fields, Joined, Members, Or, Together
from durian.match.conditions import (
    Condition,
    Contains,
    ElementCondition,
    Endswith,
    Exists,
    Gt,
    Gte,
    Has,
    In,
    Is,
    Like,
    Lt,
    Lte,
    Ordered,
    Startswith,
)
from durian.match.literal import CONTAINERS, freeze
from durian.match.shelves import (
    AFFIX,
    GRAM,
    LARGEST,
    Above,
    Below,
    Cells,
    Exact,
    Grams,
    Path,
    Prefixes,
    Present,
    Shelf,
    Suffixes,
    Token,
    as_end,
    beginnings,
    cells,
)

# Parts of a long text that are offered as anchors: enough to find a rare one.
PARTS = 12


class Anchor(NamedTuple):
    """A place in the index: a token on one shelf of one field."""

    path: Path
    shelf: type[Shelf[Anything]]
    token: Token


Clause = list[Anchor]
"""Anchors of which a payload has at least one whenever the filter matches it."""


def clauses(condition: Condition, path: Path = ()) -> Iterator[Clause]:
    """The clauses that are known of a condition on the field at `path`; any of them will do.

    They speak of the value itself and, if it is a list, of its elements, but of no list in it.
    """
    if rule := _RULES.get(type(condition)):
        yield from rule(condition, path)


def rank(clause: Clause) -> int:
    """How well the clause tells filters apart, by its worst anchor; 0 is best."""
    return max((anchor.shelf.rank for anchor in clause), default=0)


def is_certain(condition: Condition) -> bool:
    """Whether every payload that has an anchor of the condition's best clause matches it."""
    while isinstance(condition, Fields) and len(condition.value) == 1:
        condition = condition.value[0][1]
    if isinstance(condition, Startswith | Endswith):
        return 0 < len(condition.value) <= AFFIX
    if isinstance(condition, In):
        return not any(isinstance(item, CONTAINERS) for item in condition.value)
    return isinstance(condition, Has)


def _present(condition: Condition, path: Path) -> Iterator[Clause]:
    yield [Anchor(path, Present, None)]


def _has(condition: Condition, path: Path) -> Iterator[Clause]:
    yield [Anchor(path, Exact, freeze(condition.value))]


def _is(condition: Is, path: Path) -> Iterator[Clause]:
    value = condition.value
    if value is None:
        return  # a missing field is fine, too
    if isinstance(value, CONTAINERS):
        yield from _present(condition, path)
    else:
        yield from _has(condition, path)


def _in(condition: In, path: Path) -> Iterator[Clause]:
    if any(isinstance(item, CONTAINERS) for item in condition.value):
        yield from _present(condition, path)
    else:
        yield [Anchor(path, Exact, freeze(item)) for item in condition.value]


def _startswith(condition: Startswith, path: Path) -> Iterator[Clause]:
    if condition.value:
        yield [Anchor(path, Prefixes, condition.value[:AFFIX])]
    else:
        yield from _present(condition, path)


def _endswith(condition: Endswith, path: Path) -> Iterator[Clause]:
    if condition.value:
        yield [Anchor(path, Suffixes, condition.value[-AFFIX:])]
    else:
        yield from _present(condition, path)


def _contains(condition: Contains, path: Path) -> Iterator[Clause]:
    part = condition.value
    if part == "" or isinstance(part, CONTAINERS):
        yield from _present(condition, path)
    elif isinstance(part, str):
        for at in range(min(PARTS, max(1, len(part) - GRAM + 1))):
            yield [Anchor(path, Grams, part[at : at + GRAM])]
    else:
        yield from _has(condition, path)


def _above(condition: Ordered, path: Path) -> Iterator[Clause]:
    yield [Anchor(path, Above, as_end(condition.value))]


def _below(condition: Ordered, path: Path) -> Iterator[Clause]:
    yield [Anchor(path, Below, as_end(condition.value))]


def _exists(condition: Exists, path: Path) -> Iterator[Clause]:
    if condition.value:
        yield from _present(condition, path)


def _fields(condition: Fields, path: Path) -> Iterator[Clause]:
    for name, inner in condition.value:
        yield from clauses(inner, (*path, name))
    if path:
        yield from _present(condition, path)


def _members(condition: Members, path: Path) -> Iterator[Clause]:
    for member in condition.value:
        # Any other member may be content with an element of an element.
        if isinstance(member, ElementCondition):
            yield from clauses(member, path)
    yield from _present(condition, path)


def _every(condition: And | Together, path: Path) -> Iterator[Clause]:
    for part in condition.value:
        yield from clauses(part, path)


def _together(condition: Together, path: Path) -> Iterator[Clause]:
    ends = {type(part): as_end(part.value) for part in condition.value}
    low, high = ends.get(Gt, ends.get(Gte)), ends.get(Lt, ends.get(Lte))
    if (clause := _between(low, high, path)) is not None:
        yield clause
    yield from _every(condition, path)


def _between(low: float | str | None, high: float | str | None, path: Path) -> Clause | None:
    """Where a value between two others lies, if that can be said."""
    if isinstance(low, float) and isinstance(high, float):
        if max(abs(low), abs(high)) > LARGEST:
            return None
        return [Anchor(path, Cells, token) for token in cells(low, high)]
    if isinstance(low, str) and isinstance(high, str):
        tokens = beginnings(low, high)
        return None if tokens is None else [Anchor(path, Prefixes, token) for token in tokens]
    return None


def _or(condition: Or, path: Path) -> Iterator[Clause]:
    best = [min(clauses(part, path), key=rank, default=None) for part in condition.value]
    found = [clause for clause in best if clause is not None]
    if len(found) == len(best):
        yield [anchor for clause in found for anchor in clause]


# What is not here (negations, `Any`) may match a payload that has nothing of it.
_RULES: dict[type[Condition], Callable[[Anything, Path], Iterator[Clause]]] = {
    Has: _has,
    Is: _is,
    In: _in,
    Startswith: _startswith,
    Endswith: _endswith,
    Contains: _contains,
    Like: _present,
    Gt: _above,
    Gte: _above,
    Lt: _below,
    Lte: _below,
    Exists: _exists,
    Fields: _fields,
    Members: _members,
    Together: _together,
    And: _every,
    Joined: _every,
    Or: _or,
}

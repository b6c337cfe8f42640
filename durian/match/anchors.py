"""What a payload must have so that a condition can match: where to file a filter."""

import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any as Anything
from typing import NamedTuple

from durian.match.compound import And, Fields, Joined, Members, Or, Together
from durian.match.condition import Condition, ElementCondition
from durian.match.conditions import (
    Contains,
    Exists,
    Gt,
    Gte,
    Has,
    In,
    Is,
    Lt,
    Lte,
    Ordered,
)
from durian.match.grams import GRAM, Gaps, Grams, around_spaces
from durian.match.literal import CONTAINERS, freeze
from durian.match.places import Path
from durian.match.ranges import LARGEST, Above, Below, Cells, as_end, beginnings, cells
from durian.match.shelves import AFFIX, Exact, Prefixes, Present, Shelf, Suffixes, Token
from durian.match.texts import Endswith, Like, Startswith

# Parts of a text that are offered as anchors, all over it: enough to find a rare one.
PARTS = 5


class Anchor(NamedTuple):
    """A spot in the index: a token on one shelf of one field."""

    path: Path
    shelf: type[Shelf]
    token: Token


class Clause(NamedTuple):
    """Anchors of which a payload has at least one whenever it satisfies the condition.

    `settles` says that the reverse holds, too: with one of them it satisfies the condition. `rank`
    says how well the clause tells filters apart, by its worst anchor; 0 is best.
    """

    anchors: Sequence[Anchor]
    settles: bool = False
    rank: int = 0


def clauses(condition: Condition, path: Path = ()) -> list[Clause]:
    """The clauses that are known of a condition on the field at `path`; any of them will do.

    They speak of the value itself and, if it is a list, of its elements, but of no list in it.
    """
    rule = _RULES.get(type(condition))
    return rule(condition, path) if rule else []


def _present(condition: Condition, path: Path) -> list[Clause]:
    return [Clause((Anchor(path, Present, None),), False, Present.rank)]


def _has(condition: Has, path: Path) -> list[Clause]:
    return [Clause((Anchor(path, Exact, freeze(condition.value)),), True)]


def _is(condition: Is, path: Path) -> list[Clause]:
    value = condition.value
    if value is None:
        return []  # a missing field is fine, too
    if isinstance(value, CONTAINERS):
        return _present(condition, path)
    return [Clause((Anchor(path, Exact, freeze(value)),))]


def _in(condition: In, path: Path) -> list[Clause]:
    if any(isinstance(item, CONTAINERS) for item in condition.value):
        return _present(condition, path)
    tokens = dict.fromkeys(map(freeze, condition.value))
    return [Clause([Anchor(path, Exact, token) for token in tokens], True)]


def _startswith(condition: Startswith, path: Path) -> list[Clause]:
    if text := condition.value:
        return [Clause((Anchor(path, Prefixes, text[:AFFIX]),), len(text) <= AFFIX)]
    return _present(condition, path)


def _endswith(condition: Endswith, path: Path) -> list[Clause]:
    if text := condition.value:
        return [Clause((Anchor(path, Suffixes, text[-AFFIX:]),), len(text) <= AFFIX)]
    return _present(condition, path)


def _contains(condition: Contains, path: Path) -> list[Clause]:
    part = condition.value
    if part == "" or isinstance(part, CONTAINERS):
        return _present(condition, path)
    if isinstance(part, str):
        last = max(0, len(part) - GRAM)
        starts = range(0, last + 1, math.ceil((last + 1) / PARTS))
        # Of those that are as good the first is taken, and beginnings are the most often alike.
        inside_out = sorted(starts, key=lambda at: abs(2 * at - last))
        grams = [Clause((Anchor(path, Grams, part[at : at + GRAM]),)) for at in inside_out]
        gaps = around_spaces(part)[:PARTS]
        return [Clause((Anchor(path, Gaps, gap),)) for gap in gaps] + grams
    return [Clause((Anchor(path, Exact, freeze(part)),))]


def _above(condition: Ordered, path: Path) -> list[Clause]:
    return [Clause((Anchor(path, Above, as_end(condition.value)),), False, Above.rank)]


def _below(condition: Ordered, path: Path) -> list[Clause]:
    return [Clause((Anchor(path, Below, as_end(condition.value)),), False, Below.rank)]


def _exists(condition: Exists, path: Path) -> list[Clause]:
    return [Clause((Anchor(path, Present, None),), True, Present.rank)] if condition.value else []


def _fields(condition: Fields, path: Path) -> list[Clause]:
    found = [clause for name, inner in condition.value for clause in clauses(inner, (*path, name))]
    if len(condition.value) > 1:
        found = _of_several(found)
    return found + _present(condition, path) if path else found


def _members(condition: Members, path: Path) -> list[Clause]:
    # Any other member may be content with an element of an element.
    single = [member for member in condition.value if isinstance(member, ElementCondition)]
    found = [clause for member in single for clause in clauses(member, path)]
    return _of_several(found) + _present(condition, path)


def _every(condition: And | Together, path: Path) -> list[Clause]:
    return _of_several([clause for part in condition.value for clause in clauses(part, path)])


def _of_several(found: list[Clause]) -> list[Clause]:
    """The clauses of conditions of which none is all that is asked."""
    return [Clause(anchors, False, rank) for anchors, _, rank in found]


def _together(condition: Together, path: Path) -> list[Clause]:
    ends = {type(part): as_end(part.value) for part in condition.value}
    low, high = ends.get(Gt, ends.get(Gte)), ends.get(Lt, ends.get(Lte))
    anchors = _between(low, high, path)
    between = [] if anchors is None else [Clause(anchors)]
    return between + _every(condition, path)


def _between(low: float | str | None, high: float | str | None, path: Path) -> list[Anchor] | None:
    """Where a value between two others lies, if that can be said."""
    if isinstance(low, float) and isinstance(high, float):
        if max(abs(low), abs(high)) > LARGEST:
            return None
        return [Anchor(path, Cells, token) for token in cells(low, high)]
    if isinstance(low, str) and isinstance(high, str):
        tokens = beginnings(low, high)
        return None if tokens is None else [Anchor(path, Prefixes, token) for token in tokens]
    return None


def _or(condition: Or, path: Path) -> list[Clause]:
    best = [
        min(clauses(part, path), key=attrgetter("rank"), default=None) for part in condition.value
    ]
    found = [clause for clause in best if clause is not None]
    if len(found) < len(best):
        return []
    # Without repeats: nothing is filed twice under an anchor.
    anchors = dict.fromkeys(anchor for clause in found for anchor in clause.anchors)
    settles = all(clause.settles for clause in found)
    return [Clause(list(anchors), settles, max(clause.rank for clause in found))]


# What is not here (negations, `Any`) may match a payload that has nothing of it.
_RULES: dict[type[Condition], Callable[[Anything, Path], list[Clause]]] = {
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

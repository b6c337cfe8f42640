"""Filters filed by what they need, so that a payload finds those that it may satisfy."""

from collections.abc import Mapping
from typing import Any

from durian.match.anchors import Anchor, Clause, clauses, is_certain, rank
from durian.match.conditions import Condition
from durian.match.literal import MAX_DEPTH
from durian.match.shelves import Path, Shelf, Token

# A bucket of more filters than this is sorted by what else they need. From 6 to 24 an event takes
# the same time (tests/benchmarks/filter_index.py); fewer branches take less memory.
CROWDED = 16
# Branches within branches at most, which bounds the recursion.
NESTED = 8

Found = Mapping[Path, list[object]]


class Entry:
    """One filter, and the keys of all who share it."""

    __slots__ = ("condition", "is_certain", "keys")

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.is_certain = is_certain(condition)
        self.keys: set[int] = set()


class Branch:
    """Entries, each filed under one clause; `known` is what all payloads that get here have."""

    __slots__ = ("_homes", "_known", "_rest", "_shelves")

    def __init__(self, known: frozenset[Anchor] = frozenset()) -> None:
        self._known = known
        self._shelves: dict[Path, dict[type[Shelf[Any]], Shelf[Any]]] = {}
        self._rest: set[Entry] = set()
        self._homes: dict[Entry, tuple[tuple[Shelf[Any], Token], ...]] = {}

    def __len__(self) -> int:
        return len(self._homes)

    def add(self, entry: Entry) -> None:
        """File an entry under the clause that the fewest others share."""
        clause = self._best(entry.condition)
        if clause is None:
            self._rest.add(entry)
            self._homes[entry] = ()
        else:
            self._homes[entry] = tuple(self._file(anchor, entry) for anchor in set(clause))

    def remove(self, entry: Entry) -> None:
        """Take an entry out, and what is empty then."""
        self._rest.discard(entry)
        for shelf, token in self._homes.pop(entry):
            bucket = shelf.buckets[token]
            bucket.remove(entry)
            if not len(bucket):
                self._drop(shelf, token)

    def collect(self, found: Found, into: set[Entry]) -> None:
        """Put every entry that may match into a set, and not many others."""
        into |= self._rest
        few, many = sorted((self._shelves, found), key=len)
        for path in few:
            if path in many:
                for shelf in self._shelves[path].values():
                    for value in found[path]:
                        self._collect(shelf.hits(value), found, into)

    def _collect(self, buckets: list[Any], found: Found, into: set[Entry]) -> None:
        for bucket in buckets:
            if isinstance(bucket, Branch):
                bucket.collect(found, into)
            else:
                into.update(bucket)

    def _best(self, condition: Condition) -> Clause | None:
        """The clause of the best kind, and of those the one with the emptiest buckets."""
        best, least = None, (0, 0)
        for clause in clauses(condition):
            if not self._known.isdisjoint(clause):
                continue
            cost = rank(clause), sum(map(self._crowd, clause))
            if best is None or cost < least:
                best, least = clause, cost
        return best

    def _crowd(self, anchor: Anchor) -> int:
        shelf = self._shelves.get(anchor.path, {}).get(anchor.shelf)
        return len(shelf.buckets.get(anchor.token, ())) if shelf else 0

    def _file(self, anchor: Anchor, entry: Entry) -> tuple[Shelf[Any], Token]:
        shelves = self._shelves.setdefault(anchor.path, {})
        shelf = shelves.get(anchor.shelf)
        if shelf is None:
            shelf = shelves[anchor.shelf] = anchor.shelf(anchor.path)
        self._put(shelf, anchor, entry)
        return shelf, anchor.token

    def _put(self, shelf: Shelf[Any], anchor: Anchor, entry: Entry) -> None:
        bucket = shelf.buckets.get(anchor.token)
        if bucket is None:
            shelf.put(anchor.token, [entry])
        elif isinstance(bucket, Branch):
            bucket.add(entry)
        else:
            bucket.append(entry)
            if len(bucket) > CROWDED and len(self._known) < NESTED:
                shelf.put(anchor.token, self._branch(anchor, bucket))

    def _branch(self, anchor: Anchor, entries: list[Entry]) -> "Branch":
        branch = Branch(self._known | {anchor})
        for entry in entries:
            branch.add(entry)
        return branch

    def _drop(self, shelf: Shelf[Any], token: Token) -> None:
        shelf.drop(token)
        if not shelf.buckets:
            del self._shelves[shelf.path][type(shelf)]
            if not self._shelves[shelf.path]:
                del self._shelves[shelf.path]


def flatten(payload: Mapping[str, object]) -> Found:
    """The values at each path: those of the fields and, where it is a list, of its elements."""
    found: dict[Path, list[object]] = {}
    level: list[tuple[Path, Mapping[str, object]]] = [((), payload)]
    for _ in range(MAX_DEPTH):
        deeper: list[tuple[Path, Mapping[str, object]]] = []
        for path, mapping in level:
            for name, value in mapping.items():
                inner = (*path, name)
                values = [value, *value] if isinstance(value, list) else [value]
                found.setdefault(inner, []).extend(values)
                deeper += [(inner, item) for item in values if isinstance(item, dict)]
        level = deeper
    return found

"""Filters filed by what they need, so that a payload finds those that it may satisfy."""

from durian.match.anchors import Anchor, Clause
from durian.match.parts import Part
from durian.match.places import Found, Place
from durian.match.shelves import Looks, Shelf, Token

# A bucket of more filters than this is sorted by what else they need. From 6 to 24 an event takes
# the same time (tests/benchmarks/filter_index.py); fewer branches take less memory.
CROWDED = 16
# Branches within branches at most, which bounds the recursion.
NESTED = 8


class Entry:
    """One filter, and the keys of all who share it: itself where there is one, as nearly always.

    `rest` is what a payload that finds the entry has to be asked still.
    """

    __slots__ = ("homes", "keys", "parts", "rest", "spread")

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.parts = parts
        self.rest = parts
        self.keys: int | tuple[int, ...] | set[int] = ()
        self.homes: tuple[Bucket | Branch, ...] = ()
        self.spread = False
        """Whether it is filed under several anchors, of which a payload needs one."""

    def take_out(self) -> None:
        """Be filed nowhere any more."""
        for home in self.homes:
            home.take_out(self)


class Bucket(list[Entry]):
    """The few entries that are filed under one token."""

    __slots__ = ("branch", "shelf", "token")

    def __init__(self, branch: "Branch", shelf: Shelf, token: Token) -> None:
        self.branch = branch
        self.shelf = shelf
        self.token = token

    def take_out(self, entry: Entry) -> None:
        """Have an entry no more; an empty bucket goes."""
        self.remove(entry)
        if not self:
            self.branch.drop(self.shelf, self.token)


class Branch:
    """Entries, each filed under one clause, or among the others if it has none.

    `known` is what all payloads that get here have. A branch within another has the place of a
    `bucket` that was too full.
    """

    __slots__ = ("_bucket", "_known", "_others", "_root", "_shelves")

    def __init__(
        self,
        root: Place,
        known: frozenset[Anchor] = frozenset(),
        bucket: Bucket | None = None,
    ) -> None:
        self._root = root
        self._known = known
        self._bucket = bucket
        self._others: dict[Entry, None] = {}
        """A dictionary and no set, for the sake of their order; see `candidates`."""
        self._shelves: dict[Place, dict[type[Shelf], Shelf]] = {}

    def add(self, entry: Entry) -> None:
        """File an entry under the clause that tells it best from others."""
        clause, rest = self._choose(entry)
        # The buckets of an entry that is in several may be of branches that know different things.
        if not entry.spread:
            entry.rest = rest
        if clause is None:
            self._others[entry] = None
            entry.homes += (self,)
            return
        entry.spread = entry.spread or len(clause.anchors) > 1
        for anchor in clause.anchors:
            self._file(anchor, entry)

    def take_out(self, entry: Entry) -> None:
        """Have an entry of those without a clause no more."""
        del self._others[entry]
        self._close_if_empty()

    def drop(self, shelf: Shelf, token: Token) -> None:
        """Have no bucket for a token any more, and nothing that is empty then."""
        shelf.drop(token)
        if not shelf.buckets:
            shelves = self._shelves[shelf.place]
            del shelves[type(shelf)]
            if not shelves:
                del self._shelves[shelf.place]
            shelf.place.release()
            self._close_if_empty()

    def candidates(self, found: Found) -> list[Entry]:
        """Every entry that a payload may satisfy, each but once, and not many others."""
        entries: list[Entry] = []
        looks: Looks = {}
        branches = [self]
        for branch in branches:  # which grow meanwhile
            if branch._others:
                entries += branch._others
            for place in branch._shelves.keys() & found.keys():
                values = found[place]
                for shelf in branch._shelves[place].values():
                    buckets = shelf.buckets
                    for token in shelf.tokens(values, looks):
                        bucket = buckets.get(token)
                        if bucket is None:
                            continue
                        if isinstance(bucket, Bucket):
                            entries += bucket
                        else:
                            branches.append(bucket)
        # What is filed under several anchors may have been found by several. No set: their order
        # says which conditions count as met once an event's steps are used up.
        return list(dict.fromkeys(entries))

    def _choose(self, entry: Entry) -> tuple[Clause | None, tuple[Part, ...]]:
        """The best clause, and the parts that are open still when a payload has it."""
        offers: list[tuple[Part, Clause]] = []
        settled: list[Part] = []
        for part in entry.parts:
            for clause in part.clauses():
                if not self._known or self._known.isdisjoint(clause.anchors):
                    offers.append((part, clause))
                elif clause.settles:
                    settled.append(part)
        best = self._best(offers)
        if best and best[1].settles:
            settled.append(best[0])
        rest = [part for part in entry.parts if part not in settled] if settled else entry.parts
        return best and best[1], tuple(rest)

    def _best(self, offers: list[tuple[Part, Clause]]) -> tuple[Part, Clause] | None:
        least = min([clause.rank for _, clause in offers], default=0)
        good = [offer for offer in offers if offer[1].rank == least]
        if len(good) > 1:
            return min(good, key=lambda offer: self._cost(offer[1]))
        return good[0] if good else None

    def _cost(self, clause: Clause) -> tuple[int, int]:
        """How little the clause tells filters apart: by its shelves, and by its buckets.

        What has many values has few filters, and few events, for each. It is also the same for
        filters that are alike, so that a payload has to look for them in one place only.
        """
        most, crowd = 0, 0
        for anchor in clause.anchors:
            if shelf := self._shelf(anchor):
                most = max(most, len(shelf.buckets))
                bucket = shelf.buckets.get(anchor.token, ())
                crowd += CROWDED if isinstance(bucket, Branch) else len(bucket)
        return -most, crowd

    def _shelf(self, anchor: Anchor) -> Shelf | None:
        place = self._root.find(anchor.path)
        return self._shelves.get(place, {}).get(anchor.shelf) if place else None

    def _file(self, anchor: Anchor, entry: Entry) -> None:
        shelf = self._shelf(anchor) or self._new_shelf(anchor)
        bucket = shelf.buckets.get(anchor.token)
        if isinstance(bucket, Branch):
            bucket.add(entry)
            return
        if bucket is None:
            bucket = Bucket(self, shelf, anchor.token)
            shelf.put(anchor.token, bucket)
        bucket.append(entry)
        entry.homes += (bucket,)
        if len(bucket) > CROWDED and len(self._known) < NESTED:
            self._branch_out(bucket, anchor)

    def _new_shelf(self, anchor: Anchor) -> Shelf:
        place = self._root.use(anchor.path)
        shelf = anchor.shelf(place)
        self._shelves.setdefault(place, {})[anchor.shelf] = shelf
        return shelf

    def _branch_out(self, bucket: Bucket, anchor: Anchor) -> None:
        branch = Branch(self._root, self._known | {anchor}, bucket)
        bucket.shelf.put(anchor.token, branch)
        for entry in bucket:
            entry.homes = tuple(home for home in entry.homes if home is not bucket)
            branch.add(entry)
        bucket.clear()

    def _close_if_empty(self) -> None:
        if self._bucket is not None and not self._others and not self._shelves:
            self._bucket.branch.drop(self._bucket.shelf, self._bucket.token)

"""Which of very many filters a payload passes, at a cost that grows with the matches."""

from collections.abc import Mapping

from durian.match.branch import Branch, Entry, flatten
from durian.match.conditions import Condition
from durian.match.filter import Filter


class FilterIndex:
    """Filters by key; `matching` answers as evaluating every one of them would.

    Equal filters are kept and evaluated once, however many keys have them. For one thread.
    """

    __slots__ = ("_entries", "_keys", "_root")

    def __init__(self) -> None:
        self._root = Branch()
        self._entries: dict[Condition, Entry] = {}
        self._keys: dict[int, Entry] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: int, filter: Filter) -> None:
        """Have a filter under a key; one that is there already is replaced."""
        if key in self._keys:
            self.remove(key)
        entry = self._entries.get(filter.condition)
        if entry is None:
            entry = self._entries[filter.condition] = Entry(filter.condition)
            self._root.add(entry)
        entry.keys.add(key)
        self._keys[key] = entry

    def remove(self, key: int) -> None:
        """Have no filter under that key any more. Raises KeyError when there is none."""
        entry = self._keys.pop(key)
        entry.keys.discard(key)
        if not entry.keys:
            del self._entries[entry.condition]
            self._root.remove(entry)

    def matching(self, payload: Mapping[str, object]) -> list[int]:
        """The keys whose filters the payload passes, in no order."""
        whole = payload if isinstance(payload, dict) else dict(payload)
        candidates: set[Entry] = set()
        self._root.collect(flatten(whole), candidates)
        keys: list[int] = []
        for entry in candidates:
            if entry.is_certain or entry.condition.matches(whole):
                keys.extend(entry.keys)
        return keys

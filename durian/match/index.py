"""Which of very many filters a payload passes, at a cost that grows with the matches."""

from collections.abc import Mapping

from durian.match import effort
from durian.match.branch import Branch, Entry
from durian.match.condition import Condition
from durian.match.filter import Filter
from durian.match.parts import Part, Parts
from durian.match.places import Place

# Keys of one filter beyond which they are kept in a set: it takes more memory, and no time.
MANY = 16


class FilterIndex:
    """Filters by key; `matching` answers as evaluating every one of them would, but for what takes
    too many steps.

    Equal filters are kept once, and what filters have in common is asked once, however many have
    it. For one thread.
    """

    __slots__ = ("_entries", "_keys", "_parts", "_places", "_root")

    def __init__(self) -> None:
        self._places = Place()
        self._root = Branch(self._places)
        self._parts = Parts()
        self._entries: dict[tuple[Part, ...], Entry] = {}
        self._keys: dict[int, Entry] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: int, filter: Filter) -> None:
        """Have a filter under a key; one that is there already is replaced."""
        parts = self._parts.use(filter.condition)
        entry = self._entries.get(parts)
        if entry is None:
            entry = self._entries[parts] = Entry(parts)
            self._root.add(entry)
        else:
            self._parts.release(parts)
        if self._keys.get(key) is not entry:
            if key in self._keys:
                self.remove(key)
            self._keys[key] = entry
            _put(entry, key)

    def remove(self, key: int) -> None:
        """Have no filter under that key any more. Raises KeyError when there is none."""
        entry = self._keys.pop(key)
        if not _take(entry, key):
            del self._entries[entry.parts]
            entry.take_out()
            self._parts.release(entry.parts)

    def matching(self, payload: Mapping[str, object]) -> list[int]:
        """The keys whose filters the payload passes, in no order.

        A condition that takes too many steps on the payload counts as met.
        """
        whole = payload if isinstance(payload, dict) else dict(payload)
        return effort.together(lambda: self._matching(whole))

    def _matching(self, whole: dict[str, object]) -> list[int]:
        keys: list[int] = []
        answers: dict[Part, bool] = {}
        costly: list[Condition] = []
        for entry in self._root.candidates(self._places.look(whole)):
            for part in entry.rest:
                answer = answers.get(part)
                if answer is None:
                    answer = answers[part] = _ask(part, whole, costly)
                if not answer:
                    break
            else:
                if isinstance(entry.keys, int):
                    keys.append(entry.keys)
                else:
                    keys += entry.keys
        effort.report(costly)
        return keys


def _ask(part: Part, whole: dict[str, object], costly: list[Condition]) -> bool:
    """Whether a payload satisfies a part."""
    try:
        return part.matches(whole)
    except effort.TooMuch:
        return _ask_once_more(part, whole, costly)


def _ask_once_more(part: Part, whole: dict[str, object], costly: list[Condition]) -> bool:
    """The same within the least of steps. What takes too many counts as met, and is noted."""
    # Not in `_ask`: what a lambda shares with it would cost every question, and this is rare.
    answer = effort.within(effort.LEAST_STEPS, lambda: part.matches(whole))
    if answer is None:
        costly.append(part.condition)
    return answer is not False


def _put(entry: Entry, key: int) -> None:
    keys = entry.keys
    if isinstance(keys, set):
        keys.add(key)
    elif keys == ():
        entry.keys = key
    else:
        several = (keys, key) if isinstance(keys, int) else (*keys, key)
        entry.keys = several if len(several) <= MANY else set(several)


def _take(entry: Entry, key: int) -> bool:
    """Say whether the entry has other keys left."""
    keys = entry.keys
    if isinstance(keys, int):
        return False
    if isinstance(keys, set):
        keys.remove(key)
    else:
        keys = entry.keys = tuple(one for one in keys if one != key)
    return bool(keys)

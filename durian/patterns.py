"""Patterns of hooks' names, very many of them looked up at once."""

from typing import Generic, TypeVar

Value = TypeVar("Value")


class _Node(Generic[Value]):
    """Where patterns that begin alike part; `word` led here."""

    __slots__ = ("inner", "value", "word")

    def __init__(self, word: str) -> None:
        self.word = word
        self.inner: dict[str, _Node[Value]] = {}
        self.value: Value | None = None


class Patterns(Generic[Value]):
    """Values by pattern; `fitting` finds those whose pattern a name fits (`durian.names.fits`).

    A look-up goes by the words of the name, and costs what begins like it.
    """

    def __init__(self) -> None:
        self._root: _Node[Value] = _Node("")

    def get(self, pattern: str) -> Value | None:
        """Return the value of a pattern, None if there is none."""
        node: _Node[Value] | None = self._root
        for word in pattern.split("."):
            node = node.inner.get(word) if node else None
        return node.value if node else None

    def put(self, pattern: str, value: Value) -> None:
        """Have a value for a pattern."""
        node = self._root
        for word in pattern.split("."):
            node = node.inner.get(word) or node.inner.setdefault(word, _Node(word))
        node.value = value

    def drop(self, pattern: str) -> None:
        """Have no value for that pattern any more. Raises KeyError when there is none."""
        nodes = [self._root]
        for word in pattern.split("."):
            nodes.append(nodes[-1].inner[word])
        nodes[-1].value = None
        for outer, node in zip(nodes[-2::-1], nodes[:0:-1], strict=True):
            if node.value is None and not node.inner:
                del outer.inner[node.word]

    def fitting(self, name: str) -> list[Value]:
        """Return the values of all patterns that stand for `name`."""
        words = name.split(".")
        if not all(words):
            return []  # no name, and no word stands for none
        reached = _with_none(self._root)
        for word in words:
            reached = {
                further
                for node in reached
                for step in _steps(node, word)
                for further in _with_none(step)
            }
        return [node.value for node in reached if node.value is not None]


def _steps(node: _Node[Value], word: str) -> list[_Node[Value]]:
    steps = [node.inner[key] for key in (word, "*") if key in node.inner]
    return [*steps, node] if node.word == "#" else steps


def _with_none(node: _Node[Value]) -> set[_Node[Value]]:
    """A node, and those beyond it by a "#" that stands for no word."""
    reached = {node}
    while (further := node.inner.get("#")) is not None:
        reached.add(further)
        node = further
    return reached

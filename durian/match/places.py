"""Where filters look in payloads, so that nothing else of a payload is looked at."""

from collections.abc import Mapping
from typing import Optional

Path = tuple[str, ...]
Found = Mapping["Place", list[object]]
"""The values at each place: those of the field and, where they are lists, their elements."""


class Place:
    """A field that filters name, within the place that it is a field of; one without is the whole.

    A place is kept while anyone uses it or a place within it.
    """

    __slots__ = ("inner", "name", "outer", "users")

    def __init__(self, outer: Optional["Place"] = None, name: str = "") -> None:
        self.outer = outer
        self.name = name
        self.inner: dict[str, Place] = {}
        self.users = 0

    def find(self, path: Path) -> Optional["Place"]:
        """Return the place at `path` from here, None if nobody uses it."""
        place: Place | None = self
        for name in path:
            if place is not None:
                place = place.inner.get(name)
        return place

    def use(self, path: Path) -> "Place":
        """Return the place at `path` from here, which is kept until it is released."""
        place = self
        for name in path:
            outer = place
            place = outer.inner.get(name) or outer.inner.setdefault(name, Place(outer, name))
        place.users += 1
        return place

    def release(self) -> None:
        """End a use."""
        self.users -= 1
        place = self
        while place.outer and not place.users and not place.inner:
            del place.outer.inner[place.name]
            place = place.outer

    def look(self, payload: Mapping[str, object]) -> Found:
        """Return what a payload, which is a dict, has here and at the places within.

        Elements of lists are looked into, elements of these that are lists are not.
        """
        found: dict[Place, list[object]] = {self: [payload]}
        places: list[tuple[Place, Mapping[str, object]]] = [(self, payload)]
        for place, mapping in places:  # which grow meanwhile
            # Of the payload's names and those in use, the fewer are gone through.
            for name in place.inner.keys() & mapping.keys():
                inner, value = place.inner[name], mapping[name]
                values = [value, *value] if isinstance(value, list) else [value]
                if inner in found:
                    found[inner] += values
                else:
                    found[inner] = values
                if inner.inner:
                    for item in values:
                        if isinstance(item, dict):
                            places.append((inner, item))
        return found

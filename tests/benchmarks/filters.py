"""Filters and events to measure the index of filters with."""

import random
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["".join(random.Random(n).choices(LETTERS, k=7)) for n in range(20_000)]


class Shop:
    """Filters and events of a shop; the more filters, the more different values there are.

    Every kind of filter is met by two or three of its kind for each event, at any size.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.spread = max(10, size // 20)
        self.kinds: list[Callable[[], Json]] = [
            self._customer,
            self._prefix,
            self._words,
            self._range,
            self._nested,
            self._regex,
            self._either,
            self._together,
        ]

    def filter(self) -> Json:
        """A filter of any kind."""
        return self.random.choice(self.kinds)()

    def event(self) -> Json:
        """An event, of 12 fields."""
        return {
            "type": self._kind(),
            "customer": self._number(),
            "email": f"{self._code()}@{self._code()}.example",
            "sku": f"{self._code()}-{self._code()}",
            "title": " ".join(self.random.choices(WORDS, k=6)),
            "amount": self.random.uniform(0, self.spread),
            "region": self.random.randrange(50),
            "tier": self.random.randrange(self._tiers()),
            "paid": self.random.random() < 0.5,
            "address": {"city": self._number(), "zip": self._code()},
            "items": [{"sku": self._code(), "count": n} for n in range(3)],
        }

    def stranger(self) -> Json:
        """An event of the same fields that no filter wants."""
        return {
            **self.event(),
            "type": "visit",
            "customer": -1,
            "sku": "none",
            "title": "nothing of any of the words that are asked for",
            "amount": -1.0,
            "region": -1,
            "tier": -1,
            "address": {"city": -1, "zip": "none"},
            "items": [{"sku": "none", "count": n} for n in range(3)],
        }

    def _number(self) -> int:
        return self.random.randrange(self.spread)

    def _code(self) -> str:
        return f"{self._number():06x}"

    def _kind(self) -> str:
        return f"order.{self.random.randrange(20)}"

    def _tiers(self) -> int:
        return max(2, self.spread // 1000)

    def _customer(self) -> Json:
        return {"type": {"$neq": self._kind()}, "customer": self._number()}

    def _prefix(self) -> Json:
        return {"sku": {"$startsWith": self._code()}, "amount": {"$gt": self.random.random()}}

    def _words(self) -> Json:
        return {"title": {"$contains": " ".join(self.random.choices(WORDS, k=2))}}

    def _range(self) -> Json:
        low = self.random.uniform(0, self.spread)
        return {"amount": {"$gte": low, "$lt": low + self.random.random()}}

    def _nested(self) -> Json:
        return {"address": {"city": self._number()}, "items": {"count": {"$lt": 3}}}

    def _regex(self) -> Json:
        return {"customer": self._number(), "email": {"$regex": r"\.example$"}}

    def _either(self) -> Json:
        return {"$or": [{"address": {"zip": self._code()}}, {"items": {"sku": self._code()}}]}

    def _together(self) -> Json:
        tier = self.random.randrange(self._tiers())
        return {"type": self._kind(), "region": self.random.randrange(50), "tier": tier}

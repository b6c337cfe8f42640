"""Measures the index of filters: `python -m tests.benchmarks.filter_index --sizes 100000 1000000`.

Prints, for each size: seconds to build, memory, microseconds for each event, matches for each
event, the longest change, and beside it what evaluating one by one takes in the same run.
"""

import argparse
import gc
import os
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import psutil

from durian.match import Filter, FilterIndex, parse

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


def measure(size: int, events: int) -> None:
    """Build an index of `size` filters, ask it, change it, and print what it took."""
    shop = Shop(size, seed=size)
    forms = [shop.filter() for _ in range(size)]
    payloads = [shop.event() for _ in range(events)]
    before, start = _memory(), time.perf_counter()
    filters = [parse(form) for form in forms]
    parsed = time.perf_counter() - start
    start, index = time.perf_counter(), FilterIndex()
    for key, filter in enumerate(filters):
        index.add(key, filter)
    built = time.perf_counter() - start
    # A collection over all filters would be measured otherwise, not the index.
    gc.freeze()
    took, matches = _ask(index, payloads)
    one_by_one = _compare(index, filters, payloads[: max(1, 300_000 // size)])
    print(
        f"{size:>9,} filters | parse {parsed:6.2f} s | build {built:6.2f} s"
        f" | {(_memory() - before) / 2**20:7,.0f} MiB"
        f" | {statistics.mean(took) * 1e6:8,.0f} µs/event"
        f" (99 %: {_percentile(took) * 1e6:,.0f}) | {matches:5.1f} matches"
        f" | longest change {_change(index, shop, size) * 1e3:6.2f} ms"
        f" | one by one {one_by_one * 1e6:10,.0f} µs/event",
        flush=True,
    )
    gc.unfreeze()


def _ask(index: FilterIndex, payloads: list[Json]) -> tuple[list[float], float]:
    index.matching(payloads[0])
    took, matches = [], 0
    for payload in payloads:
        start = time.perf_counter()
        matches += len(index.matching(payload))
        took.append(time.perf_counter() - start)
    return took, matches / len(payloads)


def _compare(index: FilterIndex, filters: list[Filter], payloads: list[Json]) -> float:
    """Seconds for each event without the index, which has to give the same answers."""
    start = time.perf_counter()
    answers = [[key for key, one in enumerate(filters) if one.matches(p)] for p in payloads]
    took = time.perf_counter() - start
    if answers != [sorted(index.matching(payload)) for payload in payloads]:
        raise SystemExit("the index gives another answer than its filters")
    return took / len(payloads)


def _change(index: FilterIndex, shop: Shop, size: int) -> float:
    """Seconds of the longest of 1,000 times: remove a filter, add another, match an event."""
    longest = 0.0
    for _ in range(1000):
        key, filter, payload = shop.random.randrange(size), parse(shop.filter()), shop.event()
        start = time.perf_counter()
        index.remove(key)
        index.add(key, filter)
        index.matching(payload)
        longest = max(longest, time.perf_counter() - start)
    return longest


def _percentile(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)]


def _memory() -> int:
    return int(psutil.Process(os.getpid()).memory_info().rss)


def main() -> None:
    """Measure the sizes that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--events", type=int, default=1000, help="events to ask about, each size")
    options = parser.parse_args()
    for size in options.sizes:
        measure(size, options.events)


if __name__ == "__main__":
    main()

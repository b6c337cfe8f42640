"""Measures the index of filters: `python -m tests.benchmarks.filter_index --sizes 100000 1000000`.

Prints, for each size: seconds to parse and to build, memory, microseconds for each event, matches
for each event, what an event that nobody wants costs beside its decoding, the longest change, and
what evaluating one by one takes in the same run.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from durian.cli.output import print_json
from durian.lasting import forget, lasting
from durian.match import Filter, FilterIndex, parse
from tests.benchmarks.filters import Json, Shop

ROUND = 1_000
"""Events of which one mean is taken. The figure is the least of the rounds' means: what others on
the machine do can only add to it, and does so for tenths of a second or for minutes."""


@dataclass(frozen=True)
class Figures:
    """What an index of `filters` filters comes to; microseconds are those of one event."""

    filters: int
    parse_seconds: float
    build_seconds: float
    mib: float
    event_us: float
    event_p99_us: float
    matches: float
    nobody_us: float
    decode_us: float
    change_ms: float
    one_by_one_us: float

    def __str__(self) -> str:
        return (
            f"{self.filters:>9,} filters | parse {self.parse_seconds:6.2f} s"
            f" | build {self.build_seconds:6.2f} s | {self.mib:7,.0f} MiB"
            f" | {self.event_us:6,.0f} µs/event (99 %: {self.event_p99_us:,.0f})"
            f" | {self.matches:5.1f} matches"
            f" | wanted by nobody {self.nobody_us:4.0f} µs (decoding it {self.decode_us:.0f})"
            f" | longest change {self.change_ms:6.2f} ms"
            f" | one by one {self.one_by_one_us:10,.0f} µs/event"
        )


def measure(size: int, events: int) -> Figures:
    """Build an index of `size` filters, ask it about `events` events, and change it."""
    shop = Shop(size, seed=size)
    forms = [shop.filter() for _ in range(size)]
    payloads = [shop.event() for _ in range(events)]
    strangers = [json.dumps(shop.stranger()) for _ in range(events)]
    before = memory()
    with lasting():
        start = time.perf_counter()
        filters = [parse(form) for form in forms]
        parsed = time.perf_counter() - start
        start, index = time.perf_counter(), FilterIndex()
        for key, filter in enumerate(filters):
            index.add(key, filter)
        built = time.perf_counter() - start
    mib = (memory() - before) / 2**20
    index.matching(payloads[0])
    took = seconds_of(index.matching, payloads)
    matches = statistics.mean(len(index.matching(payload)) for payload in payloads)
    one_by_one = _compare(index, filters, payloads[: max(1, 300_000 // size)])
    figures = Figures(
        filters=size,
        parse_seconds=parsed,
        build_seconds=built,
        mib=mib,
        event_us=_least(took) * 1e6,
        event_p99_us=percentile(took, 99) * 1e6,
        matches=matches,
        nobody_us=statistics.mean(seconds_of(index.matching, map(json.loads, strangers))) * 1e6,
        decode_us=statistics.mean(seconds_of(json.loads, strangers)) * 1e6,
        change_ms=_change(index, shop, size) * 1e3,
        one_by_one_us=one_by_one * 1e6,
    )
    forget()
    return figures


def seconds_of(call: Callable[[Any], object], values: Iterable[Any]) -> list[float]:
    """Return what the call took for each of the values."""
    took = []
    for value in values:
        start = time.perf_counter()
        call(value)
        took.append(time.perf_counter() - start)
    return took


def percentile(took: list[float], hundredths: int) -> float:
    """Return what so many of a hundred took at most."""
    return sorted(took)[len(took) * hundredths // 100]


def memory() -> int:
    """Return the bytes of memory that this process has."""
    return int(psutil.Process(os.getpid()).memory_info().rss)


def _least(took: list[float]) -> float:
    rounds = [took[first : first + ROUND] for first in range(0, len(took), ROUND)]
    return min(map(statistics.mean, rounds))


def _compare(index: FilterIndex, filters: list[Filter], payloads: list[Json]) -> float:
    """Least seconds for an event without the index, which has to give the same answers."""
    answers: list[list[int]] = []

    def ask(payload: Json) -> None:
        answers.append([key for key, one in enumerate(filters) if one.matches(payload)])

    took = seconds_of(ask, payloads)
    if answers != [sorted(index.matching(payload)) for payload in payloads]:
        raise SystemExit("the index gives another answer than its filters")
    return min(took)


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


def main() -> None:
    """Measure the sizes that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--events", type=int, default=10_000, help="events to ask about, each size")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    for size in options.sizes:
        figures = measure(size, options.events)
        if options.json:
            print_json(asdict(figures))
        else:
            print(figures, flush=True)


if __name__ == "__main__":
    main()

"""Asks the matcher's handler who wants an event, in a process of its own that holds the filters.

    python -m tests.benchmarks.index SIZE

Of SIZE listeners, each with a filter of two conditions, 1, 10 or 100 match an event. Decoding the
event, asking the index and encoding the deliveries are measured; the broker is not. Prints JSON.
"""

import json
import sys
import time
from typing import Any

import django
import psutil

from durian import match
from durian.lasting import lasting
from durian.wire.broker import Incoming
from durian.wire.messages import EventMessage, encode
from durian.wire.outcome import Outcome
from durian.wire.topology import Topology

MATCHING = (1, 10, 100)
EVENTS = 2_000
UUID = "01890000-0000-7000-8000-000000000000"


class Indexed:
    """What a matcher asks, built as a matcher does it: from text, but without a database."""

    def __init__(self, size: int) -> None:
        self._index = match.FilterIndex()
        customers = [f"one of {many}" for many in MATCHING for _ in range(many)]
        with lasting():
            for listener in range(size):
                known = listener < len(customers)
                customer = customers[listener] if known else f"number {listener}"
                text = f'{{"customer": "{customer}", "total": {{"$gte": {listener % 10}}}}}'
                self._index.add(listener, match.parse(json.loads(text), len(text)))

    def is_behind(self, version: int) -> bool:
        """Nothing changes."""
        return False

    def catch_up(self, version: int) -> None:
        """Nothing changes."""

    def matching(self, hook: str, payload: Any) -> list[int]:
        """Return who wants it."""
        return self._index.matching(payload)


def event(many: int) -> Incoming:
    """Return an event that so many listeners want."""
    payload = {"number": 1, "customer": f"one of {many}", "country": "DE", "total": 99}
    message = EventMessage(
        id=UUID,
        hook="order.placed",
        body=json.dumps(payload),
        envelope="plain",
        created=0.0,
        listeners=0,
    )
    return Incoming(1, encode(message), {}, False, "match")


def measure(size: int) -> dict[str, float]:
    """Return seconds to build, MB, and microseconds for each event by how many match it."""
    # App loading: the matcher imports models.
    from durian.matcher import Matcher

    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    handler = Matcher(Indexed(size), Topology())
    figures = {"seconds": time.perf_counter() - began}
    for many in MATCHING:
        incoming, outcomes = event(many), list[Outcome]()
        handler(incoming, outcomes.append)
        assert len(outcomes[0].publish) == many, "others match than should"
        began = time.perf_counter()
        for _ in range(EVENTS // many + 10):
            handler(incoming, outcomes.append)
        figures[str(many)] = (time.perf_counter() - began) / (EVENTS // many + 10) * 1e6
    figures["megabytes"] = (psutil.Process().memory_info().rss - before) / 1e6
    return figures


if __name__ == "__main__":
    django.setup()
    print(json.dumps(measure(int(sys.argv[1]))))

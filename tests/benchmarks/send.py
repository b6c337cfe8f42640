"""What a site's request pays: a transaction with one `save()` in it, or with many rows."""

import json
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any

from tests.benchmarks.peer.runner import Peer
from tests.benchmarks.rows import Row
from tests.benchmarks.site import Raiser, raise_orders
from tests.benchmarks.stage import Stage

ROUNDS = 5
"""All ways in turn, so often: the commits of a machine that is shared vary from minute to minute,
and what they are compared with shall vary with them. The figures are the medians."""
SAVES = 400
CALLS = 20
SIZE = 100


def measure(stage: Stage) -> Iterator[Row]:
    """Yield events a second of one process, durian's and the peer's, and what bounds them.

    durian's relay publishes meanwhile, in a thread; the peer's request publishes by itself. No
    matcher and no worker runs.
    """
    peer = Peer.on(stage)
    ways: dict[str, Callable[[], Any]] = {
        "peer": lambda: peer.raise_orders(SAVES),
        "durian": lambda: raise_orders(stage, SAVES),
        "many": lambda: json.loads(Raiser(stage, "many", CALLS, SIZE).run()),
        "alone": lambda: raise_orders(stage, SAVES, RELAY="off"),
        "bare": lambda: raise_orders(stage, SAVES, "--way", "bare", RELAY="off"),
        "twice": lambda: raise_orders(stage, SAVES, "--way", "twice", RELAY="off"),
    }
    rounds = [_round(stage, ways) for _ in range(ROUNDS)]
    us = {way: median(one[way] for one in rounds) for way in ways}
    peer.purge()
    yield _rate("peer.send", "peer: save() raises, a transaction each", us["peer"])
    yield _rate("limits.send", "limit: two bare INSERTs in a transaction each", us["twice"])
    yield _rate("send.rate", "send: save() in a transaction each", us["durian"])
    yield _rate("send.alone", "send: the same, nothing publishes", us["alone"])
    yield _rate("send.many", f"send: {SIZE} rows and send_many in a transaction", us["many"])
    yield Row("peer.us", "peer: time of a save()", us["peer"], "µs")
    yield Row("send.us", "send: time of a save()", us["durian"], "µs")
    yield Row("send.bare_us", "send: time of the same row's INSERT, no event", us["bare"], "µs")
    stage.clear()


def _round(stage: Stage, ways: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    # What a process without a relay left in the outbox, the next one's would publish.
    stage.clear()
    return {way: raised()["us"] for way, raised in ways.items()}


def _rate(key: str, what: str, us: float) -> Row:
    return Row(key, what, 1e6 / us, "events/s")

"""What a site's request pays: a transaction with one `save()` in it, or with many rows."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from statistics import median
from typing import Any

from tests.benchmarks.peer.runner import Peer
from tests.benchmarks.rows import Row, Values
from tests.benchmarks.site import Saver
from tests.benchmarks.stage import Stage
from tests.benchmarks.turns import SIZE
from tests.servers.free import wait_until

ROUNDS = 12
MORE_ROUNDS = 6
"""Each way is a process, and they save in turn, so often: the commits of a machine that is shared
vary from second to second, and what they are compared with shall vary with them. The figures are
the medians."""
ORDERS = 300
"""How many at a time: half a second's, over which a relay finds out how busy its process is."""
MANY = 10 * SIZE
PUBLISHED_SECONDS = 10


def measure(stage: Stage) -> Iterator[Row]:
    """Yield events a second of one process, durian's and the peer's.

    durian's relay publishes meanwhile, in a thread; the peer's request publishes by itself. No
    matcher and no worker runs.
    """
    peer = Peer.on(stage)
    stage.clear()
    ways = {"peer": peer.saver("save")} | {way: _saver(stage, way) for way in ("save", "many")}
    # What one relay has left, it publishes before the turn of another one, who shall not help.
    us = _in_turn(ways, ROUNDS, lambda: _wait_published(stage))
    peer.purge()
    yield _rate("peer.send", "peer: save() raises, a transaction each", us["peer"])
    yield _rate("send.rate", "send: save() in a transaction each", us["save"])
    yield _rate("send.many", f"send: {SIZE} rows and send_many in a transaction", us["many"])
    yield Row("peer.us", "peer: time of a save()", us["peer"], "µs")
    yield Row("send.us", "send: time of a save()", us["save"], "µs")
    stage.clear()


def measure_more(stage: Stage, _done: Values) -> Iterator[Row]:
    """Yield what bounds `send`: no relay, no event, no durian."""
    stage.clear()
    # These leave what they raise in the outbox, where another one's relay would find it.
    alone = {way: _saver(stage, way, RELAY="off") for way in ("save", "bare", "twice")}
    us = _in_turn(alone, MORE_ROUNDS, lambda: None)
    yield _rate("limits.send", "limit: two bare INSERTs in a transaction each", us["twice"])
    yield _rate("send.alone", "send: save() in a transaction each, nothing publishes", us["save"])
    yield Row("send.bare_us", "send: time of the same row's INSERT, no event", us["bare"], "µs")
    stage.clear()


def _saver(stage: Stage, way: str, **durian: Any) -> Saver:
    return Saver(sys.executable, stage.shop.env(**durian), way)


def _in_turn(
    savers: Mapping[str, Saver], rounds: int, rest: Callable[[], None]
) -> dict[str, float]:
    """Return the median time of an order by way, in µs; `rest` is called after each turn."""
    took = defaultdict[str, list[float]](list)
    with ExitStack() as stack:
        ready = {way: stack.enter_context(saver.ready()) for way, saver in savers.items()}
        for _ in range(rounds):
            for way, save in ready.items():
                took[way].append(save(MANY if way == "many" else ORDERS))
                rest()
    return {way: median(all_of_it) for way, all_of_it in took.items()}


def _wait_published(stage: Stage) -> None:
    wait_until(lambda: not stage.outbox_waits(), PUBLISHED_SECONDS, "all is published")


def _rate(key: str, what: str, us: float) -> Row:
    return Row(key, what, 1e6 / us, "events/s")

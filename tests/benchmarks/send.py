"""What a site's request pays: a transaction with one `save()` in it, and `send_many`."""

from collections.abc import Iterator

from tests.benchmarks.rows import Row
from tests.benchmarks.site import Raiser, raise_orders
from tests.benchmarks.stage import Stage

SAVES = 4_000
CALLS = 100
SIZE = 100


def measure(stage: Stage) -> Iterator[Row]:
    """Yield events a second of one process, whose relay publishes them in a thread meanwhile.

    So is the peer measured, whose request publishes by itself. No matcher runs.
    """
    stage.clear()
    raised = raise_orders(stage, SAVES, "--seconds", 10)
    rate = raised["count"] / raised["seconds"]
    yield Row("send.rate", "send: save() in a transaction each", rate, "events/s")
    alone = raise_orders(stage, SAVES, "--seconds", 10, RELAY="off")
    what = "send: the same, relay in another process"
    yield Row("send.alone", what, alone["count"] / alone["seconds"], "events/s")
    bare = raise_orders(stage, SAVES, "--seconds", 10, "--way", "bare", RELAY="off")
    yield Row("send.us", "send: time of a save()", raised["us"], "µs")
    yield Row("send.bare_us", "send: time of the same row's INSERT, no event", bare["us"], "µs")
    stage.clear()
    seconds = float(Raiser(stage, "many", CALLS, SIZE).run())
    what = f"send: send_many of {SIZE} in a transaction"
    yield Row("send.many", what, CALLS * SIZE / seconds, "events/s")
    stage.clear()

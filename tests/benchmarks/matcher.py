"""The matcher: who wants an event, among few listeners and many, and as a process."""

import json
import time
from collections.abc import Iterator

from durian import roles
from durian.models import Listener
from durian.wire.broker import Outgoing
from durian.wire.publishing import publish_all
from tests.benchmarks import load
from tests.benchmarks.index import MATCHING
from tests.benchmarks.rows import Row, Values
from tests.benchmarks.site import Raiser
from tests.benchmarks.stage import Stage

MOST = 1_000_000
FEWER = (1_000, 10_000, 100_000)
MIXED = 100_000
LISTENERS = 1_000
DELIVERIES = 20_000
SECONDS = 15


def measure(stage: Stage) -> Iterator[Row]:
    """Yield µs for each event among most listeners, and among filters of many kinds."""
    yield from _index(stage, MOST)
    mixed = json.loads(Raiser(stage, "filter_index", "--sizes", MIXED, "--json").run())
    what = f"index of {MIXED:,} filters of many kinds, {mixed['matches']:.0f} match, at best"
    yield Row("matcher.mixed", what, mixed["event_us"], "µs/event")
    yield Row("matcher.mixed.bare", "  one by one, at best", mixed["one_by_one_us"], "µs/event")


def measure_more(stage: Stage, _done: Values) -> Iterator[Row]:
    """Yield the same among fewer listeners, and the rates of a process."""
    for size in FEWER:
        yield from _index(stage, size)
    for many in MATCHING:
        yield from _process(stage, many)


def _index(stage: Stage, size: int) -> Iterator[Row]:
    figures = json.loads(Raiser(stage, "index", size).run())
    name = f"matcher: {size:,} listeners"
    for many in MATCHING:
        what = f"{name}, {many} of them match"
        yield Row(f"matcher.{size}.{many}", what, figures[str(many)], "µs/event")
    yield Row(f"matcher.{size}.seconds", f"{name}: index built", figures["seconds"], "s")
    yield Row(f"matcher.{size}.memory", f"{name}: memory", figures["megabytes"], "MB")


def _process(stage: Stage, many: int) -> Iterator[Row]:
    """Yield the rate at which a process turns a full queue of events into deliveries."""
    stage.clear()
    others = LISTENERS - many
    load.listeners(many, stage.nginx.url)
    Listener.objects.bulk_create(
        Listener(hook=load.HOOK, url=stage.nginx.url(), match={"customer": f"number {number}"})
        for number in range(others)
    )
    events = DELIVERIES // many
    publisher, names = roles.broker().publisher(), roles.broker().topology
    publish_all(
        publisher,
        (Outgoing(names.events, load.HOOK, load.event_message()) for _ in range(events)),
    )
    publisher.close()
    with stage.running("matcher", RELAY="off") as running:
        meter, began = stage.meter(**running), time.monotonic()
        deadline = began + SECONDS
        while stage.waiting("deliver") < events * many and time.monotonic() < deadline:
            time.sleep(0.02)
        took, made = time.monotonic() - began, stage.waiting("deliver")
        what = f"matcher as a process: {many} of {LISTENERS:,} listeners match"
        yield Row(f"matcher.rate.{many}", what, made / many / took, "events/s")
        yield from meter.rows(f"matcher.rate.{many}", made // many)
    stage.clear()

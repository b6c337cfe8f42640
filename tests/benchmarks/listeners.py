"""Measures a matcher of very many listeners: `python -m tests.benchmarks.listeners --size 1000000`.

The listeners are rows of a private PostgreSQL; the matcher's handler is called with events as the
broker has them. Prints the seconds until it is ready (rows read, filters parsed and filed), its
memory, what an event costs, the longest event of all (collections of garbage among them), and how
long an event waits for changes that it has to know of.
"""

import argparse
import itertools
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connections

from durian.cli.output import print_json
from durian.ids import new_event_id
from durian.wire.broker import Incoming
from durian.wire.messages import EventMessage, encode
from durian.wire.topology import Topology
from tests.benchmarks.filter_index import memory, percentile, seconds_of
from tests.benchmarks.filters import Shop
from tests.servers.postgresql import PrivatePostgreSQL

HOOK = "order.placed"
MANY = 10_000


@dataclass(frozen=True)
class Figures:
    """What a matcher of so many listeners comes to.

    An event is decoded, matched, and its deliveries are encoded; `matching_us` is the second of
    these alone. `change_ms` is the longest wait for one changed listener (the database's part in
    it), `many_changes_ms` the one for 10,000, and `longest_beside_ms` the longest event of those
    that need not know of 10,000 which are applied meanwhile.
    """

    listeners: int
    ready_seconds: float
    ready_cpu_seconds: float
    mib: float
    matches: float
    matching_us: float
    matching_p99_us: float
    event_us: float
    event_p99_us: float
    longest_ms: float
    nobody_us: float
    change_ms: float
    many_changes_ms: float
    longest_beside_ms: float
    longest_after_ms: float


def measure(size: int, events: int) -> Figures:
    """Read `size` listeners from the database that Django has, and match `events` events."""
    # App loading: they need the settings.
    from durian.listeners import Listeners
    from durian.matcher import Matcher
    from durian.models import Listener, ListenerClock

    shop = Shop(size, seed=size)
    _insert(shop, size)
    random_key = random.Random(size)
    payloads = [shop.event() for _ in range(events)]
    messages = [_message(json.dumps(payload), 1) for payload in payloads]
    strangers = [_message(json.dumps(shop.stranger()), 1) for _ in range(events)]
    listeners, before = Listeners(), memory()
    start, start_cpu = time.perf_counter(), time.process_time()
    listeners.catch_up(1)
    ready, ready_cpu = time.perf_counter() - start, time.process_time() - start_cpu
    mib = (memory() - before) / 2**20
    matcher = Matcher(listeners, Topology(""))

    def handle(message: Incoming) -> None:
        matcher(message, lambda outcome: None)

    def change(keys: list[int]) -> None:
        for key in keys:
            Listener.objects.filter(pk=key).update(match=shop.filter())

    def changed(keys: list[int]) -> float:
        change(keys)
        message = _message(json.dumps(shop.event()), ListenerClock.now())
        return seconds_of(handle, [message])[0]

    alone = seconds_of(lambda payload: listeners.matching(HOOK, payload), payloads)
    whole = seconds_of(handle, messages * 5)
    one = max(changed([random_key.randrange(1, size)]) for _ in range(50))
    several = random_key.sample(range(1, size), min(size // 2, MANY))
    many = changed(several)
    change(several)
    beside = list(_beside(listeners.refresh, handle, itertools.cycle(messages)))
    after = seconds_of(handle, messages * 5)
    return Figures(
        listeners=len(listeners),
        ready_seconds=ready,
        ready_cpu_seconds=ready_cpu,
        mib=mib,
        matches=statistics.mean(len(listeners.matching(HOOK, payload)) for payload in payloads),
        matching_us=statistics.mean(alone) * 1e6,
        matching_p99_us=percentile(alone, 99) * 1e6,
        event_us=statistics.mean(whole) * 1e6,
        event_p99_us=percentile(whole, 99) * 1e6,
        longest_ms=max(whole) * 1e3,
        nobody_us=statistics.mean(seconds_of(handle, strangers)) * 1e6,
        change_ms=one * 1e3,
        many_changes_ms=many * 1e3,
        longest_beside_ms=max(beside) * 1e3,
        longest_after_ms=max(after) * 1e3,
    )


def _beside(
    work: Callable[[], None], handle: Callable[[Incoming], None], messages: Iterator[Incoming]
) -> Iterator[float]:
    """Yield what each event takes until a thread has done its work."""
    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work)
        while not working.done():
            yield from seconds_of(handle, [next(messages)])
            # As the pump does for its sockets, between events.
            time.sleep(0)
    working.result()


@contextmanager
def database() -> Iterator[None]:
    """Have Django set up, with durian's tables in a private PostgreSQL."""
    server = PrivatePostgreSQL()
    server.start()
    try:
        settings.DATABASES["default"].update(server.settings)
        django.setup()
        call_command("migrate", verbosity=0)
        yield
    finally:
        connections.close_all()
        server.stop()


def _insert(shop: Shop, size: int) -> None:
    columns = (
        "hook, url, description, match, config, state, state_reason, state_since,"
        " secrets, version, created_at, updated_at"
    )
    rest = ("{}", "active", "", "now", "", 1, "now", "now")
    with connections["default"].cursor() as cursor:
        with cursor.copy(f"COPY durian_listener ({columns}) FROM STDIN") as copy:
            for _ in range(size):
                form = json.dumps(shop.filter())
                copy.write_row((HOOK, "https://receiver.example/", "", form, *rest))
        cursor.execute("INSERT INTO durian_listenerclock (id, version) VALUES (1, 1)")
        # Sooner or later PostgreSQL does it by itself.
        cursor.execute("ANALYZE")


def _message(body: str, version: int) -> Incoming:
    event = EventMessage(
        id=str(new_event_id()),
        hook=HOOK,
        body=body,
        envelope="plain",
        created=time.time(),
        listeners=version,
    )
    return Incoming(tag=1, body=encode(event), headers={}, redelivered=False, queue="")


def main() -> None:
    """Measure the size that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    with database():
        figures = measure(options.size, options.events)
    if options.json:
        print_json(asdict(figures))
        return
    for field in fields(figures):
        print(f"{field.name:>18} {getattr(figures, field.name):>12,.1f}")


if __name__ == "__main__":
    main()

"""The demo itself: a site, all roles, receivers, and things that happen."""

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from django.core.management import call_command

from durian import roles
from durian.cli.output import print_json
from durian.demo import inbox, shop
from durian.demo.screen import Screen
from durian.demo.server import serve
from durian.models import Attempt, Event
from durian.stopping import set_by_signals
from durian.wire.deadletters import Leave, Letter, Walk

EVENTS = 200
WAIT_SECONDS = 120.0
"""How long `--once` waits for the end of the deliveries before it calls the rest lost."""
PAUSE_SECONDS = 0.4


@dataclass(frozen=True)
class Summary:
    """What became of the events of `--once`; deliveries are counted by event and listener."""

    events: int
    matched: int
    delivered: int
    retried: int
    dead: int
    lost: int
    seconds: float


def prepare() -> None:
    """Make the tables, the queues, and the login."""
    call_command("migrate", verbosity=0)
    roles.broker().declare(public=False)


def once(port: int | None) -> int:
    """Raise 200 events, wait for the end of every delivery, and print a summary.

    Returns 0 if nothing was lost, else 1.
    """
    with _running(port) as (screen, _, subscriptions):
        began = time.monotonic()
        screen.say(f"Raising {EVENTS} events …")
        events = list(itertools.islice(shop.happenings(), EVENTS))
        wanted = shop.expected(events, subscriptions)
        _wait(lambda: wanted <= inbox.received | _given_up(events), screen)
        buried = _buried(events)
        summary = Summary(
            events=len(events),
            matched=len(wanted),
            delivered=len(wanted & inbox.received),
            retried=Attempt.objects.filter(outcome=Attempt.Outcome.RETRY).count(),
            dead=len(wanted & buried),
            lost=len(wanted - inbox.received - buried),
            seconds=round(time.monotonic() - began, 1),
        )
    screen.say(
        f"{summary.events} events, {summary.matched} deliveries: {summary.delivered} delivered, "
        f"{summary.dead} in the dead-letter queue, {summary.lost} lost; {summary.retried} attempts "
        f"failed and were made again. {summary.seconds} s."
    )
    print_json(asdict(summary))
    return int(summary.lost > 0)


def forever(port: int | None) -> int:
    """Let things happen until Ctrl-C or SIGTERM. Returns 0."""
    stopping = set_by_signals()
    with _running(port) as (screen, address, _):
        screen.say(f"Pages: {address}/  (login: {shop.LOGIN}, password: {shop.PASSWORD})")
        screen.say(f"Admin: {address}/admin/  Ctrl-C ends the demo.")
        for _ in shop.happenings():
            screen.refresh()
            if stopping.wait(PAUSE_SECONDS):
                break
    screen.say("Bye.")
    return 0


@contextmanager
def _running(port: int | None) -> Iterator[tuple[Screen, str, dict[int, shop.Subscription]]]:
    """Run the demo's site and roles during the block."""
    logging.getLogger("durian").setLevel(logging.ERROR)
    prepare()
    address = serve(port)
    subscriptions = shop.subscribe(address)
    names = {listener: one.name for listener, one in subscriptions.items()}
    with _roles(), Screen(names) as screen:
        where = "All in this process." if roles.is_embedded() else "On the RabbitMQ that you named."
        screen.say(f"durian's demo: a shop, its webhooks, and receivers that fail. {where}")
        yield screen, address, subscriptions
        screen.refresh()


@contextmanager
def _roles() -> Iterator[None]:
    """Run the matcher and the deliverer, unless the broker in memory brings its own."""
    running: list[roles.Role] = []
    if not roles.is_embedded():
        running = [roles.MatcherRole(), roles.DelivererRole()]
    threads = [roles.start_thread(role.run, f"durian-{role.name}") for role in running]
    yield
    for role in running:
        role.stop(within=5.0)
    for thread in threads:
        thread.join(10.0)


def _wait(condition: Callable[[], bool], screen: Screen) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition() and time.monotonic() < deadline:
        screen.refresh()
        time.sleep(0.2)


def _given_up(events: list[Event]) -> set[tuple[str, int]]:
    rows = Attempt.objects.filter(outcome=Attempt.Outcome.DEAD, event__in=[e.id for e in events])
    return {(str(event), listener) for event, listener in rows.values_list("event", "listener_id")}


def _buried(events: list[Event]) -> set[tuple[str, int]]:
    ids = {str(event.id) for event in events}
    found: set[tuple[str, int]] = set()

    def look(letter: Letter) -> Leave:
        if letter.autopsy.event in ids:
            found.add((letter.autopsy.event, letter.autopsy.listener))
        return Leave.IN_PLACE

    Walk(roles.broker(), look).run()
    return found

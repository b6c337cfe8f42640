"""`durian status`: is everything as it should be?"""

from argparse import ArgumentParser
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import router
from django.utils import timezone
from rich.text import Text

from durian import conf, roles
from durian.cli.output import console, plain, print_json, print_table
from durian.database import available
from durian.errors import Unavailable
from durian.models import Event, Listener
from durian.outbox import pending
from durian.wire.broker import QueueState

HELP = "show queues, depths, consumers and the outbox; exit code 1 when something is wrong"
OLD_SECONDS = 60.0
"""An event that waits longer than this in the outbox is a fault: no relay runs, or none can."""


@dataclass
class Status:
    """What `durian status` shows; `problems` is empty when all is well."""

    queues: list[QueueState] = field(default_factory=list)
    outbox: dict[str, dict[str, Any]] = field(default_factory=dict)
    listeners: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `durian status`."""
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def run(options: dict[str, Any]) -> int:
    """Return 0 when all is well, else 1."""
    status = collect()
    if options["json"]:
        print_json(asdict(status))
    else:
        _print(status)
    return bool(status.problems)


def collect() -> Status:
    """Look at the databases and the broker."""
    status = Status()
    for using in conf.config().outbox_databases:
        try:
            _look_at_outbox(status, using)
        except Unavailable as error:
            status.problems.append(str(error))
    try:
        home = router.db_for_write(Listener)
        with available(home):
            for state in Listener.State.values:
                status.listeners[state] = Listener.objects.using(home).filter(state=state).count()
    except Unavailable as error:
        status.problems.append(str(error))
    try:
        _look_at_broker(status)
    except Unavailable as error:
        status.problems.append(str(error))
    return status


def _look_at_outbox(status: Status, using: str) -> None:
    with available(using):
        waiting = pending(using)
        oldest = waiting.order_by("id").values_list("created_at", flat=True).first()
        quarantined = Event.objects.using(using).filter(published_at__isnull=True)
        set_aside = quarantined.exclude(error="").count()
        age = (timezone.now() - oldest).total_seconds() if oldest else 0.0
        status.outbox[using] = {
            "waiting": waiting.count(),
            "oldest_seconds": round(age, 1),
            "set_aside": set_aside,
        }
    if age > OLD_SECONDS:
        status.problems.append(
            f"The oldest event in the outbox of {using!r} waits for {age:.0f} s: "
            "is a matcher or a publisher running, and the broker there?"
        )
    if set_aside:
        status.problems.append(
            f"{set_aside} events in the outbox of {using!r} could not be published; the admin's "
            "page of events shows why and can release them."
        )


def _look_at_broker(status: Status) -> None:
    broker = roles.broker()
    status.queues = broker.states()
    missing = broker.missing_exchanges(conf.config().public_exchange)
    missing += [state.name for state in status.queues if not state.exists]
    if missing:
        status.problems.append(
            f"{len(missing)} queues or exchanges are missing ({', '.join(missing[:3])} …): "
            "run `manage.py durian topology`."
        )
    consumed = {state.name: state.consumers for state in status.queues if state.exists}
    if roles.is_embedded():
        return  # The consumers are in another process, as are the queues.
    for queue, role in ((broker.topology.match, "matcher"), (broker.topology.deliver, "deliverer")):
        if consumed.get(queue) == 0:
            status.problems.append(f"No {role} is running: start `manage.py durian {role}`.")


def _print(status: Status) -> None:
    out = console()
    print_table(
        ["queue", "messages", "consumers"],
        (
            (state.name, state.messages if state.exists else "MISSING", state.consumers)
            for state in status.queues
        ),
    )
    for using, outbox in status.outbox.items():
        out.print(
            f"outbox {using}: {outbox['waiting']} waiting, the oldest for "
            f"{outbox['oldest_seconds']} s; {outbox['set_aside']} set aside"
        )
    out.print("listeners: " + ", ".join(f"{n} {state}" for state, n in status.listeners.items()))
    for problem in status.problems:
        out.print(Text.assemble(("problem:", "red"), f" {plain(problem)}"))
    if not status.problems:
        out.print("All is well.")

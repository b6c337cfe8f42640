"""Is everything as it should be? What the databases and the broker say."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import router
from django.db.models import Count
from django.utils import timezone

from durian import conf, roles
from durian.database import available
from durian.errors import Unavailable
from durian.models import Attempt, Event, Listener
from durian.outbox import pending
from durian.wire.broker import QueueState

OLD_SECONDS = 60.0
"""An event that waits longer than this in the outbox is a fault: no relay runs, or none can."""
MINUTE = timedelta(minutes=1)


@dataclass
class Health:
    """What was found; `problems` is empty when all is well.

    `attempts` are those of the log that began in the last minute, by outcome.
    """

    queues: list[QueueState] = field(default_factory=list)
    outbox: dict[str, dict[str, Any]] = field(default_factory=dict)
    listeners: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def collect() -> Health:
    """Look at the databases and the broker. What is away is one of the problems."""
    health = Health()
    for using in conf.config().outbox_databases:
        try:
            _look_at_outbox(health, using)
        except Unavailable as error:
            health.problems.append(str(error))
    for look in (_look_at_listeners, _look_at_log, _look_at_broker):
        try:
            look(health)
        except Unavailable as error:
            health.problems.append(str(error))
    return health


def _look_at_outbox(health: Health, using: str) -> None:
    with available(using):
        waiting = pending(using)
        oldest = waiting.order_by("id").values_list("created_at", flat=True).first()
        quarantined = Event.objects.using(using).filter(published_at__isnull=True)
        set_aside = quarantined.exclude(error="").count()
        age = (timezone.now() - oldest).total_seconds() if oldest else 0.0
        health.outbox[using] = {
            "waiting": waiting.count(),
            "oldest_seconds": round(age, 1),
            "set_aside": set_aside,
        }
    if age > OLD_SECONDS:
        health.problems.append(
            f"The oldest event in the outbox of {using!r} waits for {age:.0f} s: "
            "is a matcher or a publisher running, and the broker there?"
        )
    if set_aside:
        health.problems.append(
            f"{set_aside} events in the outbox of {using!r} could not be published; the admin's "
            "page of events shows why and can release them."
        )


def _look_at_listeners(health: Health) -> None:
    home = router.db_for_write(Listener)
    with available(home):
        for state in Listener.State.values:
            health.listeners[state] = Listener.objects.using(home).filter(state=state).count()


def _look_at_log(health: Health) -> None:
    home = router.db_for_write(Attempt)
    recent = Attempt.objects.using(home).filter(started_at__gte=timezone.now() - MINUTE)
    with available(home):
        found = recent.values_list("outcome").annotate(Count("pk"))
        health.attempts = dict.fromkeys(Attempt.Outcome.values, 0) | dict(found)


def _look_at_broker(health: Health) -> None:
    broker = roles.broker()
    health.queues = broker.states()
    missing = broker.missing_exchanges(conf.config().public_exchange)
    missing += [state.name for state in health.queues if not state.exists]
    if missing:
        health.problems.append(
            f"{len(missing)} queues or exchanges are missing ({', '.join(missing[:3])} …): "
            "run `manage.py durian topology`."
        )
    consumed = {state.name: state.consumers for state in health.queues if state.exists}
    if roles.is_embedded():
        return  # The consumers are in another process, as are the queues.
    for queue, role in ((broker.topology.match, "matcher"), (broker.topology.deliver, "deliverer")):
        if consumed.get(queue) == 0:
            health.problems.append(f"No {role} is running: start `manage.py durian {role}`.")

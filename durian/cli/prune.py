"""`durian prune`: delete events and attempts that are past their age, in small batches."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.db import router
from django.db.models import QuerySet
from django.utils import timezone

from durian import conf
from durian.cli.output import console, print_json, progress
from durian.database import available
from durian.ids import first_event_id
from durian.models import Attempt, Event

HELP = "delete events and attempts past their age (DURIAN['EVENT_DAYS'], ['ATTEMPT_DAYS'])"
BATCH = 1000


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `durian prune`."""
    parser.add_argument("--dry-run", action="store_true", help="only say how many are meant")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    parser.epilog = "Run it daily. Events that wait in the outbox are never deleted."


def run(options: dict[str, Any]) -> int:
    """Return 0. Raises Unavailable when a database is away."""
    config, now = conf.config(), timezone.now()
    old = now - timedelta(days=config.event_days)
    counts = {"events": 0, "attempts": 0}
    for using in config.outbox_databases:
        events = Event.objects.using(using).filter(
            published_at__isnull=False, id__lt=first_event_id(old)
        )
        counts["events"] += _delete(events, "events", options["dry_run"])
    old = now - timedelta(days=config.attempt_days)
    attempts = Attempt.objects.using(router.db_for_write(Attempt)).filter(started_at__lt=old)
    counts["attempts"] = _delete(attempts, "attempts", options["dry_run"])
    if options["json"]:
        print_json(counts)
    else:
        done = "would be deleted" if options["dry_run"] else "deleted"
        console().print(f"{counts['events']} events and {counts['attempts']} attempts {done}.")
    return 0


def _delete(rows: "QuerySet[Any]", what: str, dry_run: bool) -> int:
    with available(rows.db):
        total = rows.count()
        if dry_run:
            return total
        deleted = 0
        with progress(what) as report:
            while batch := list(rows.values_list("pk", flat=True)[:BATCH]):
                deleted += _delete_batch(rows.model._default_manager.using(rows.db), batch)
                report(deleted, max(total, deleted))
    return deleted


def _delete_batch(manager: "QuerySet[Any]", keys: list[Any]) -> int:
    count, _ = manager.filter(pk__in=keys).delete()
    return count

"""The INSERT of events: most of what a site's request pays for raising them."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.db.models.sql import InsertQuery

from durian.eventrow import EventRow
from durian.models import Event

BATCH = 1000


def insert(rows: Sequence[EventRow], using: str) -> None:
    """Insert `rows` into the database `using`, in the transaction that is open there, if any.

    In one statement; over BATCH, and on SQLite already over about a hundred, it takes more. Raises
    what `Event.save` raises.
    """
    if len(rows) == 1:
        _insert_one(rows[0], using)
    else:
        events = [row.event(using) for row in rows]
        Event.objects.using(using).bulk_create(events, batch_size=BATCH)


def _insert_one(row: EventRow, using: str) -> None:
    """Insert one as `Event.save` does, for a fraction of the CPU: no signal is sent."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        values = [_text(value) for value in row]
    else:
        values = [
            field.get_db_prep_save(value, connection)
            for field, value in zip(Event._meta.concrete_fields, row, strict=True)
        ]
    with transaction.mark_for_rollback_on_error(using=using), connection.cursor() as cursor:
        cursor.execute(_statement(using, connection.vendor), values)


def _text(value: Any) -> Any:
    # PostgreSQL reads texts as what its columns are. psycopg quotes them in C, all else in Python.
    return str(value) if isinstance(value, UUID | datetime) else value


@cache
def _statement(using: str, vendor: str) -> str:
    # By vendor, too, since a site's tests may give the same alias another database.
    query = InsertQuery(Event)
    query.insert_values(Event._meta.concrete_fields, [Event()])
    [(statement, _)] = query.get_compiler(using=using).as_sql()
    return str(statement)

"""The INSERT of one event: most of what a site's request pays for raising it."""

from functools import cache

from django.db import connections, transaction
from django.db.models.sql import InsertQuery

from durian.models import Event


def insert(event: Event, using: str) -> None:
    """Insert `event` into the database `using`, in the transaction that is open there, if any.

    As `Event.save` does, for a fraction of the CPU: nobody is told by signals, and Django's
    compiler writes the statement only once. Raises what `save` raises.
    """
    connection = connections[using]
    fields = Event._meta.concrete_fields
    values = [field.get_db_prep_save(getattr(event, field.attname), connection) for field in fields]
    with transaction.mark_for_rollback_on_error(using=using), connection.cursor() as cursor:
        cursor.execute(_statement(using, connection.vendor), values)
    event._state.adding = False
    event._state.db = using


@cache
def _statement(using: str, vendor: str) -> str:
    # By vendor, too, since a site's tests may give the same alias another database.
    query = InsertQuery(Event)
    query.insert_values(Event._meta.concrete_fields, [Event()])
    [(statement, _)] = query.get_compiler(using=using).as_sql()
    return str(statement)

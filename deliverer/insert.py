"""Attempts into the database: by COPY where it is PostgreSQL, in a fourth of an INSERT's time."""

import logging
from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, connections, router

from deliverer.row import Row
from durian.models import Attempt

logger = logging.getLogger("durian.deliverer")

_columns = {field.attname: field.column for field in Attempt._meta.concrete_fields}
_COPY = 'COPY "{}" ({}) FROM STDIN'.format(
    Attempt._meta.db_table, ", ".join(f'"{_columns[name]}"' for name in Row._fields)
)


def insert(rows: Sequence[Row]) -> None:
    """Insert `rows`; one that the database refuses is reported and left out.

    Raises django.db.Error when the database is away.
    """
    try:
        _insert_all(rows)
    except (DataError, IntegrityError, ValidationError, ValueError) as error:
        if len(rows) == 1:
            named = rows[0].attempt()
            logger.error("An attempt cannot be logged and is dropped (%s): %s", named, error)
            return
        for row in rows:
            insert([row])


def _insert_all(rows: Sequence[Row]) -> None:
    using = router.db_for_write(Attempt)
    connection = connections[using]
    with connection.cursor() as cursor:
        # psycopg 3 has it, psycopg 2 and the drivers of other databases have not.
        copy_in = getattr(cursor.cursor, "copy", None)
        if copy_in is None:
            Attempt.objects.using(using).bulk_create(row.attempt() for row in rows)
            return
        with connection.wrap_database_errors, copy_in(_COPY) as copy:
            for row in rows:
                copy.write_row(row)

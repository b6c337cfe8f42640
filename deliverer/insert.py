"""Attempts into the database: by COPY where it is PostgreSQL, in a fourth of an INSERT's time."""

import logging
from collections.abc import Sequence
from operator import attrgetter

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, connections, router

from durian.models import Attempt

logger = logging.getLogger("durian.deliverer")

_FIELDS = [field for field in Attempt._meta.concrete_fields if not field.primary_key]
_values = attrgetter(*(field.attname for field in _FIELDS))
_COPY = 'COPY "{}" ({}) FROM STDIN'.format(
    Attempt._meta.db_table, ", ".join(f'"{field.column}"' for field in _FIELDS)
)


def insert(attempts: Sequence[Attempt]) -> None:
    """Insert `attempts`; a row that the database refuses is reported and left out.

    Raises django.db.Error when the database is away.
    """
    try:
        _insert_all(attempts)
    except (DataError, IntegrityError, ValidationError, ValueError) as error:
        if len(attempts) == 1:
            logger.error("An attempt cannot be logged and is dropped (%s): %s", attempts[0], error)
            return
        for attempt in attempts:
            insert([attempt])


def _insert_all(attempts: Sequence[Attempt]) -> None:
    using = router.db_for_write(Attempt)
    connection = connections[using]
    with connection.cursor() as cursor:
        # psycopg 3 has it, psycopg 2 and the drivers of other databases have not.
        copy_in = getattr(cursor.cursor, "copy", None)
        if copy_in is None:
            Attempt.objects.using(using).bulk_create(attempts)
            return
        with connection.wrap_database_errors, copy_in(_COPY) as copy:
            for attempt in attempts:
                copy.write_row(_values(attempt))

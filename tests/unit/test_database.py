"""What is said of a database that does not do what it is asked for."""

import psycopg
import pytest
from django.db import OperationalError, ProgrammingError

from durian.database import available
from durian.errors import Unavailable


def said(error: Exception, cause: Exception | None = None, using: str = "default") -> str:
    with pytest.raises(Unavailable) as caught, available(using):
        raise error from cause
    return str(caught.value)


def test_a_database_that_is_away_is_told_in_one_line() -> None:
    error = OperationalError("connection failed:\n\tIs the server running?\n")
    told = said(error)
    assert told == "The database 'default' is away: connection failed: Is the server running?"


def test_a_right_that_is_missing_is_no_migration() -> None:
    error = ProgrammingError("permission denied for table durian_event")
    told = said(error, psycopg.errors.InsufficientPrivilege())
    assert told == "The database 'default' is away: permission denied for table durian_event"


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("no such table: durian_event"),
        OperationalError("no such column: durian_event.claim"),
        ProgrammingError('relation "durian_event" does not exist\nLINE 1: SELECT 1\n         ^'),
    ],
)
def test_what_migrations_make_is_named_with_the_remedy(error: Exception) -> None:
    what = str(error).splitlines()[0]
    told = said(error, using="other")
    assert told == (
        f"The database 'other' lacks what migrations make: {what}. "
        "Run `manage.py migrate --database other`."
    )

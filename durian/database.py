"""The database as something that may be away: for threads and processes that outlive a request."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.conf import settings
from django.db import (
    DEFAULT_DB_ALIAS,
    Error,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connections,
)
from django.utils import timezone

from durian.errors import DatabaseAway, Unavailable

SILENT_SECONDS = 30
"""How long a database's machine may not answer at all. Then it is gone, and could tell nobody; by
itself TCP finds out after 15 minutes, or after two hours while a statement is waited for."""
NO_PRIVILEGE = "42501"
"""PostgreSQL's code for it, the one wrong statement that migrations do not mend."""


@contextmanager
def available(using: str) -> Iterator[None]:
    """Turn the errors of the database `using` into DatabaseAway, and drop its connection.

    Also those of missing tables: a process may be ahead of the migrations, and no message is at
    fault for that. Not for use inside a transaction of the caller's.
    """
    try:
        yield
    except Error as error:
        connections[using].close()
        raise DatabaseAway(_told(using, error)) from error


def _told(using: str, error: Error) -> str:
    if _lacks_migrations(error):
        # Without the statement, which PostgreSQL quotes below.
        what = str(error).partition("\n")[0]
        command = "manage.py migrate" + f" --database {using}" * (using != DEFAULT_DB_ALIAS)
        return f"The database {using!r} lacks what migrations make: {what}. Run `{command}`."
    return f"The database {using!r} is away: {' '.join(str(error).split())}"


def _lacks_migrations(error: Error) -> bool:
    if isinstance(error, ProgrammingError):
        return getattr(error.__cause__, "sqlstate", "") != NO_PRIVILEGE
    # That is what SQLite calls an operational error.
    return str(error).startswith(("no such table", "no such column"))


@contextmanager
def available_to_the_site() -> Iterator[None]:
    """Turn a lost connection that the site's own code meets, to any database, into Unavailable.

    What a database that is there says, of a wrong query say, is the code's own fault, and raised as
    it is.
    """
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        if _lost_connections():
            raise Unavailable(f"A database is away: {error}") from error
        raise


def _lost_connections() -> bool:
    """Drop those of this thread's connections that were lost, and say whether there are any."""
    failed = (one for one in connections.all(initialized_only=True) if one.errors_occurred)
    lost = [one for one in failed if one.connection is None or not one.is_usable()]
    for connection in lost:
        connection.close()
        # Or the next error of any database would pass for its loss until it is made anew.
        connection.errors_occurred = False
    return bool(lost)


@contextmanager
def own_connections() -> Iterator[None]:
    """Close the connections that a thread made, when it ends: nobody else will."""
    try:
        yield
    finally:
        connections.close_all()


def as_stored(moment: datetime) -> datetime:
    """Return an aware `moment` as the models of a site have it: of its own zone without USE_TZ."""
    return moment if settings.USE_TZ else timezone.make_naive(moment)


def give_up_on_silence(seconds: int = SILENT_SECONDS) -> None:
    """Let each connection to PostgreSQL that is made from now on end after so much silence.

    It is its machine that has to answer: a statement may take as long as it takes. What the site's
    OPTIONS say of the same holds (libpq 12 or newer, tcp(7)).
    """
    probes = {
        "tcp_user_timeout": seconds * 1000,
        "keepalives_idle": seconds // 3,
        "keepalives_interval": seconds // 6,
    }
    for alias in connections:
        if connections[alias].vendor == "postgresql":
            options = connections.settings[alias]["OPTIONS"]
            options.update(probes | options)

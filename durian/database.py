"""The database as something that may be away: for threads and processes that outlive a request."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error, connections

from durian.errors import Unavailable


@contextmanager
def available(using: str) -> Iterator[None]:
    """Turn the errors of the database `using` into Unavailable, and drop its connection.

    Also those of missing tables: a process may be ahead of the migrations, and no message is at
    fault for that. Not for use inside a transaction of the caller's.
    """
    try:
        yield
    except Error as error:
        connections[using].close()
        raise Unavailable(f"The database {using!r} is away: {error}") from error


@contextmanager
def own_connections() -> Iterator[None]:
    """Close the connections that a thread made, when it ends: nobody else will."""
    try:
        yield
    finally:
        connections.close_all()

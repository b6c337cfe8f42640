"""The database as something that may be away: for threads and processes that outlive a request."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError, connections

from durian.errors import Unavailable


@contextmanager
def available(using: str = "default") -> Iterator[None]:
    """Turn the errors of a lost database into Unavailable, and drop its connection.

    Not for use inside a transaction of the caller's.
    """
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        connections[using].close()
        raise Unavailable(f"The database {using!r} is away: {error}") from error


@contextmanager
def own_connections() -> Iterator[None]:
    """Close the connections that a thread made, when it ends: nobody else will."""
    try:
        yield
    finally:
        connections.close_all()

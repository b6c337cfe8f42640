"""Publishing a batch and waiting for its confirms: for who has no pump."""

import time
from collections.abc import Callable, Iterable

from durian.errors import Unavailable
from durian.wire.broker import Outgoing, Publisher
from durian.wire.wakeup import wait_readable

MAX_UNCONFIRMED = 1000
"""How many messages may wait for their confirm at once; more brings no speed."""


def publish_all(
    publisher: Publisher,
    messages: Iterable[Outgoing],
    confirmed: Callable[[Outgoing], None] = lambda message: None,
    timeout: float = 30.0,
) -> None:
    """Publish `messages` and return when all are confirmed; `confirmed` is called for each.

    Raises Unavailable if the broker refuses one, is lost, or confirms nothing for `timeout`
    seconds; what was not confirmed is then of unknown fate.
    """
    for message in messages:
        while publisher.pending >= MAX_UNCONFIRMED:
            _wait(publisher, timeout)
        publisher.publish(message, lambda message=message: confirmed(message))  # type: ignore[misc]
    while publisher.pending:
        _wait(publisher, timeout)


def _wait(publisher: Publisher, timeout: float) -> None:
    pending, deadline = publisher.pending, time.monotonic() + timeout
    while publisher.pending == pending:
        if time.monotonic() >= deadline:
            raise Unavailable(f"The broker confirmed nothing for {timeout:g} s.")
        wait_readable([publisher], 1.0)
        publisher.read()

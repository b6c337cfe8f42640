"""Publishing a batch and waiting for its confirms: for who has no pump."""

import time
from collections.abc import Callable, Iterable
from functools import partial

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
    refusals: list[Unavailable] = []
    for message in messages:
        wait_settled(publisher, MAX_UNCONFIRMED - 1, timeout)
        if refusals:
            break
        publisher.publish(message, partial(confirmed, message), refusals.append)
    wait_settled(publisher, 0, timeout)
    if refusals:
        raise refusals[0]


def wait_settled(publisher: Publisher, pending: int, timeout: float) -> None:
    """Return when no more than `pending` messages are neither confirmed nor refused.

    Raises Unavailable as `publish_all` does.
    """
    before, deadline = publisher.pending, time.monotonic() + timeout
    while publisher.pending > pending:
        publisher.flush()
        wait_readable([publisher], min(timeout, 1.0))
        publisher.read()
        if publisher.pending < before:
            before, deadline = publisher.pending, time.monotonic() + timeout
        elif time.monotonic() >= deadline:
            raise Unavailable(f"The broker confirmed nothing for {timeout:g} s.")

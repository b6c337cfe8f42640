"""Publishing a batch and waiting for its confirms: for who has no pump."""

import time
from collections.abc import Callable, Iterable
from functools import partial

from durian.errors import Unavailable
from durian.wire.broker import Outgoing, Publisher
from durian.wire.wakeup import wait_readable

MAX_UNCONFIRMED = 1000
"""How many messages may wait for their confirm at once; more brings no speed."""


class Batch:
    """Messages that are published together; `confirmed` is called for each that the broker has.

    `timeout` is how many seconds the broker may confirm nothing. `meanwhile` is for who cannot have
    it twice: it is called at least once a second while the broker is waited for, and an alarm of
    the broker is waited for to its end. What was written and not confirmed when one of the methods
    raises is of unknown fate.
    """

    def __init__(
        self,
        publisher: Publisher,
        messages: Iterable[Outgoing],
        confirmed: Callable[[Outgoing], None] = lambda message: None,
        timeout: float = 30.0,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        self._publisher = publisher
        self._messages = messages
        self._confirmed = confirmed
        self._timeout = timeout
        self._meanwhile = meanwhile
        self._open = 0
        self._refusals: list[Unavailable] = []

    def write(self) -> None:
        """Write all of them, while no more than MAX_UNCONFIRMED wait. Raises Unavailable."""
        for message in self._messages:
            self._wait_until(self._has_room)
            if self._refusals:
                break
            self._open += 1
            self._publisher.publish(message, partial(self._confirm, message), self._refuse)
        self._publisher.flush()

    def wait(self) -> None:
        """Return when all are confirmed. Raises Unavailable, also if the broker refused one."""
        self._wait_until(lambda: not self._open)
        if self._refusals:
            raise self._refusals[0]

    def _has_room(self) -> bool:
        return self._publisher.pending < MAX_UNCONFIRMED and not self._publisher.blocked

    def _wait_until(self, done: Callable[[], bool]) -> None:
        _wait_until(self._publisher, done, self._timeout, self._meanwhile)

    def _confirm(self, message: Outgoing) -> None:
        self._open -= 1
        self._confirmed(message)

    def _refuse(self, error: Unavailable) -> None:
        self._open -= 1
        self._refusals.append(error)


def publish_all(
    publisher: Publisher,
    messages: Iterable[Outgoing],
    confirmed: Callable[[Outgoing], None] = lambda message: None,
    timeout: float = 30.0,
) -> None:
    """Publish `messages` as a Batch and return when all are confirmed. Raises as it does."""
    batch = Batch(publisher, messages, confirmed, timeout)
    batch.write()
    batch.wait()


def wait_settled(publisher: Publisher, pending: int, timeout: float) -> None:
    """Return when no more than `pending` messages are neither confirmed nor refused.

    Raises Unavailable when the broker is lost, or confirms nothing for `timeout` seconds.
    """
    _wait_until(publisher, lambda: publisher.pending <= pending, timeout)


def _wait_until(
    publisher: Publisher,
    done: Callable[[], bool],
    timeout: float,
    meanwhile: Callable[[], None] | None = None,
) -> None:
    before, deadline = publisher.pending, time.monotonic() + timeout
    while not done():
        publisher.flush()
        wait_readable([publisher], min(timeout, 1.0))
        publisher.read()
        if meanwhile:
            meanwhile()
        if publisher.pending < before or (meanwhile and publisher.blocked):
            before, deadline = publisher.pending, time.monotonic() + timeout
        elif time.monotonic() >= deadline:
            raise Unavailable(f"The broker confirmed nothing for {timeout:g} s.")

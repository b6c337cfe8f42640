"""A publisher that does not give up: what was not confirmed is published again, with its id."""

import itertools
import logging
from collections import deque
from functools import partial

from durian.errors import Unavailable
from durian.wire.backoff import Backoff
from durian.wire.broker import Broker, Confirmed, Outgoing, Publisher
from durian.wire.publishing import MAX_UNCONFIRMED

logger = logging.getLogger("durian.wire")


class Sender:
    """Publishes over one connection after the other, in the thread that calls `turn`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._publisher: Publisher | None = None
        self._waiting: deque[tuple[Outgoing, Confirmed]] = deque()
        self._sent: dict[int, tuple[Outgoing, Confirmed]] = {}
        self._numbers = itertools.count()
        self._backoff = Backoff()

    def send(self, message: Outgoing, confirmed: Confirmed) -> None:
        """Take `message`; `confirmed` is called by the `turn` that sees the broker's confirm."""
        self._waiting.append((message, confirmed))

    @property
    def idle(self) -> bool:
        """Whether everything was confirmed."""
        return not self._waiting and not self._sent

    def sources(self) -> list[Publisher]:
        """Return what to wait for before the next `turn`."""
        return [self._publisher] if self._publisher else []

    def turn(self) -> None:
        """Connect if there is something to send, hear confirms, and send what may be sent."""
        try:
            publisher = self._connected()
            if publisher is None:
                return
            publisher.read()
            while self._waiting and not publisher.blocked and len(self._sent) < MAX_UNCONFIRMED:
                number = next(self._numbers)
                message, _ = self._sent[number] = self._waiting.popleft()
                publisher.publish(message, partial(self._on_confirm, number))
        except Unavailable as error:
            self._start_again(error)

    def close(self) -> None:
        """Close the connection."""
        if self._publisher:
            self._publisher.close()
            self._publisher = None

    def _connected(self) -> Publisher | None:
        if self._publisher is None and not self.idle and self._backoff.due:
            self._publisher = self._broker.publisher()
        return self._publisher

    def _on_confirm(self, number: int) -> None:
        _, confirmed = self._sent.pop(number)
        self._backoff.succeeded()
        confirmed()

    def _start_again(self, error: Unavailable) -> None:
        wait = self._backoff.failed()
        logger.warning(
            "Cannot publish; %d messages wait, next try in %.1f s: %s",
            len(self._sent) + len(self._waiting),
            wait,
            error,
        )
        self.close()
        self._waiting.extendleft(reversed(self._sent.values()))
        self._sent.clear()

"""A publisher that does not give up: what was not confirmed is published again, with its id."""

import itertools
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from durian.errors import MessageRefused, TopologyError, Unavailable
from durian.wire.backoff import Backoff
from durian.wire.broker import Broker, Confirmed, Outgoing, Publisher
from durian.wire.publishing import MAX_UNCONFIRMED

logger = logging.getLogger("durian.wire")

Refused = Callable[[MessageRefused], None]


@dataclass(frozen=True)
class _Parcel:
    message: Outgoing
    confirmed: Confirmed
    refused: Refused


class Sender:
    """Publishes over one connection after the other, in the thread that calls `turn`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._publisher: Publisher | None = None
        self._waiting: deque[_Parcel] = deque()
        self._sent: dict[int, _Parcel] = {}
        self._window = MAX_UNCONFIRMED
        self._numbers = itertools.count()
        self._backoff = Backoff()

    def send(self, message: Outgoing, confirmed: Confirmed, refused: Refused) -> None:
        """Take `message`; `confirmed` is called by the `turn` that sees the broker's confirm.

        `refused` is called instead when the broker will never take it, such as for its size.
        """
        self._waiting.append(_Parcel(message, confirmed, refused))

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
            if publisher is not None:
                publisher.read()
                self._publish(publisher)
        except MessageRefused as error:
            self._single_out(error)
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

    def _publish(self, publisher: Publisher) -> None:
        while self._waiting and not publisher.blocked and len(self._sent) < self._window:
            number = next(self._numbers)
            self._sent[number] = parcel = self._waiting.popleft()
            publisher.publish(parcel.message, partial(self._on_confirm, number))

    def _on_confirm(self, number: int) -> None:
        parcel = self._sent.pop(number)
        if not self._sent:
            # Not sooner: beside the others, one that is refused again and again may wait here.
            self._backoff.succeeded()
        if self.idle:
            self._window = MAX_UNCONFIRMED
        parcel.confirmed()

    def _single_out(self, error: MessageRefused) -> None:
        """The broker does not say which message it refuses: it is told by being sent alone."""
        if len(self._sent) > 1:
            self._window = 1
            self._start_again(error)
            return
        self.close()
        self._window = MAX_UNCONFIRMED
        for parcel in self._sent.values():
            parcel.refused(error)
        self._sent.clear()

    def _start_again(self, error: Unavailable) -> None:
        level = logging.ERROR if isinstance(error, TopologyError) else logging.WARNING
        waiting = len(self._sent) + len(self._waiting)
        logger.log(
            level,
            "Cannot publish; %d messages wait, next try in %.1f s: %s",
            waiting,
            self._backoff.failed(),
            error,
        )
        self.close()
        self._waiting.extendleft(reversed(self._sent.values()))
        self._sent.clear()

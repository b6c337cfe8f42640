"""A publisher that does not give up: what was not confirmed is published again, with its id."""

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec

from durian.errors import MessageRefused, TopologyError, Unavailable
from durian.wire.backoff import Backoff
from durian.wire.broker import Broker, Confirmed, Outgoing, Publisher
from durian.wire.publishing import MAX_UNCONFIRMED

logger = logging.getLogger("durian.wire")

GATHER_SECONDS = 0.03
"""How long a patient message waits for others: alone, one that is delayed costs RabbitMQ seven
times what it costs among forty."""
GATHER_MOST = 200
MAX_ASIDE = 5 * MAX_UNCONFIRMED
"""How many messages that no queue takes for now are kept before no more are wanted."""
BLIND_BYTES = 128 * 1024
"""How much is written before the broker is heard again: it may have an alarm by then, take nothing
more, and leave the next write to wait in vain."""

Never = Callable[[MessageRefused], None]


class _Parcel(msgspec.Struct, frozen=True):
    message: Outgoing
    confirmed: Confirmed
    never: Never


class Sender:
    """Publishes over one connection after the other, in the thread that calls `turn`.

    What a queue refuses, or no queue takes, is set aside and published again after a while; the
    others go on.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._publisher: Publisher | None = None
        self._waiting: deque[_Parcel] = deque()
        self._patient: list[_Parcel] = []
        self._patient_until = 0.0
        self._sent: dict[int, _Parcel] = {}
        self._aside: list[_Parcel] = []
        self._suspects = 0
        """How many messages are sent alone, since one of them was refused and nobody said which."""
        self._numbers = itertools.count()
        self._backoff = Backoff()

    def send(self, message: Outgoing, confirmed: Confirmed, never: Never) -> None:
        """Take `message`; `confirmed` is called by the `turn` that sees the broker's confirm.

        `never` is called instead when the broker will not take it at any time, as for its size.
        """
        parcel = _Parcel(message, confirmed, never)
        if not message.patient:
            self._waiting.append(parcel)
            return
        if not self._patient:
            self._patient_until = time.monotonic() + GATHER_SECONDS
        self._patient.append(parcel)

    @property
    def idle(self) -> bool:
        """Whether everything was confirmed."""
        return not (self._waiting or self._patient or self._sent or self._aside)

    @property
    def crowded(self) -> bool:
        """Whether more waits than can be under way at once, or can be kept for later."""
        return len(self._waiting) >= MAX_UNCONFIRMED or len(self._aside) >= MAX_ASIDE

    def sources(self) -> list[Publisher]:
        """Return what to wait for before the next `turn`, for `patience` at most."""
        return [self._publisher] if self._publisher else []

    def patience(self, seconds: float) -> float:
        """Return in how many `seconds` the next `turn` is due, at the latest."""
        if not self._patient:
            return seconds
        return min(max(self._patient_until - time.monotonic(), 0.0), seconds)

    def turn(self) -> None:
        """Connect if there is something to send, hear confirms, and send what may be sent."""
        if len(self._patient) >= GATHER_MOST or self.patience(1.0) == 0.0:
            self._waiting.extend(self._patient)
            self._patient.clear()
        try:
            self._take_up_again()
            publisher = self._connected()
            if publisher is not None:
                publisher.read()
                self._publish(publisher)
                publisher.flush()
        except MessageRefused as error:
            self._single_out(error)
        except Unavailable as error:
            self._complain(error)
            self._start_again()

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
        unheard = 0
        while self._waiting and not publisher.blocked and len(self._sent) < self._limit():
            number = next(self._numbers)
            self._sent[number] = parcel = self._waiting.popleft()
            publisher.publish(
                parcel.message, partial(self._on_confirm, number), partial(self._on_refusal, number)
            )
            unheard += len(parcel.message.body)
            if unheard >= BLIND_BYTES:
                publisher.read()
                unheard = 0

    def _limit(self) -> int:
        # Before what was set aside is taken up again, on a new connection, all others are settled.
        if self._aside and self._backoff.due:
            return 0
        return 1 if self._suspects else MAX_UNCONFIRMED

    def _on_confirm(self, number: int) -> None:
        parcel = self._sent.pop(number)
        if not self._sent and not self._aside:
            self._backoff.succeeded()
        if self._suspects:
            self._suspects -= 1
        parcel.confirmed()

    def _on_refusal(self, number: int, error: Unavailable) -> None:
        if not self._aside:
            self._complain(error)
        self._aside.append(self._sent.pop(number))

    def _take_up_again(self) -> None:
        if self._aside and self._backoff.due and not self._sent:
            # A channel that is older than a queue's leader may be refused for ever.
            self._start_again()

    def _single_out(self, error: MessageRefused) -> None:
        """Find the message at fault: the broker does not say which, so each is sent alone."""
        if len(self._sent) == 1:
            (parcel,) = self._sent.values()
            self._sent.clear()
            self._suspects = 0
            parcel.never(error)
        else:
            self._suspects = len(self._sent)
        self._start_again()

    def _complain(self, error: Unavailable) -> None:
        logger.log(
            logging.ERROR if isinstance(error, TopologyError) else logging.WARNING,
            "Cannot publish; %d messages wait, next try in %.1f s: %s",
            len(self._sent) + len(self._waiting) + len(self._aside),
            self._backoff.failed(),
            error,
        )

    def _start_again(self) -> None:
        self.close()
        self._waiting.extendleft(reversed([*self._aside, *self._sent.values()]))
        self._aside.clear()
        self._sent.clear()

"""A publisher that does not give up: what was not confirmed is published again, with its id."""

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from durian.errors import MessageRefused, TopologyError, Unavailable
from durian.wire.backoff import Backoff
from durian.wire.broker import Broker, Confirmed, Outgoing, Publisher
from durian.wire.outcome import Messages
from durian.wire.publishing import MAX_UNCONFIRMED

logger = logging.getLogger("durian.wire")

GATHER_SECONDS = 0.03
"""How long a patient message waits for others: alone, one that is delayed costs RabbitMQ seven
times what it costs among forty."""
GATHER_MOST = 200
FEW = 100
"""Of more messages that come together each is made when it can be sent."""
MANY_BYTES = 32 * 1024 * 1024
"""How much is kept of what is not confirmed before no more is made or wanted."""
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
        self._coming: deque[Iterator[_Parcel]] = deque()
        """What is made once there is room for it, behind what waits."""
        self._to_come = 0
        self._bytes = 0
        """Of all that has been made and is not confirmed."""
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
        self._bytes += len(message.body)
        if not message.patient:
            self._waiting.append(parcel)
            return
        if not self._patient:
            self._patient_until = time.monotonic() + GATHER_SECONDS
        self._patient.append(parcel)

    def send_all(self, messages: Messages, confirmed: Confirmed, never: Never) -> None:
        """Take `messages`, as `send` does each of them; many are made as they can be sent."""
        if len(messages) <= FEW:
            for message in messages:
                self.send(message, confirmed, never)
            return
        self._to_come += len(messages)
        self._coming.append(_Parcel(message, confirmed, never) for message in messages)

    @property
    def idle(self) -> bool:
        """Whether everything was confirmed."""
        return not (self._waiting or self._coming or self._patient or self._sent or self._aside)

    @property
    def crowded(self) -> bool:
        """Whether more waits than can be under way at once, or can be kept for later."""
        waiting = len(self._waiting) + self._to_come
        too_many = waiting >= MAX_UNCONFIRMED or len(self._aside) >= MAX_ASIDE
        return too_many or self._bytes >= MANY_BYTES

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
        while not publisher.blocked and len(self._sent) < self._limit() and self._has_next():
            number = next(self._numbers)
            self._sent[number] = parcel = self._waiting.popleft()
            publisher.publish(
                parcel.message, partial(self._on_confirm, number), partial(self._on_refusal, number)
            )
            unheard += len(parcel.message.body)
            if unheard >= BLIND_BYTES:
                publisher.read()
                unheard = 0

    def _has_next(self) -> bool:
        """Say whether something waits, making what comes next if nothing does."""
        while self._coming and not self._waiting and self._bytes < MANY_BYTES:
            parcel = next(self._coming[0], None)
            if parcel:
                self._to_come -= 1
                self._bytes += len(parcel.message.body)
                self._waiting.append(parcel)
            else:
                self._coming.popleft()
        return bool(self._waiting)

    def _limit(self) -> int:
        # Before what was set aside is taken up again, on a new connection, all others are settled.
        if self._aside and self._backoff.due:
            return 0
        return 1 if self._suspects else MAX_UNCONFIRMED

    def _on_confirm(self, number: int) -> None:
        parcel = self._sent.pop(number)
        self._bytes -= len(parcel.message.body)
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
            self._bytes -= len(parcel.message.body)
            self._suspects = 0
            parcel.never(error)
        else:
            self._suspects = len(self._sent)
        self._start_again()

    def _complain(self, error: Unavailable) -> None:
        logger.log(
            logging.ERROR if isinstance(error, TopologyError) else logging.WARNING,
            "Cannot publish; %d messages wait, next try in %.1f s: %s",
            len(self._sent) + len(self._waiting) + self._to_come + len(self._aside),
            self._backoff.failed(),
            error,
        )

    def _start_again(self) -> None:
        self.close()
        self._waiting.extendleft(reversed([*self._aside, *self._sent.values()]))
        self._aside.clear()
        self._sent.clear()

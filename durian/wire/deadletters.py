"""Walking through the dead letters, one after the other, on the broker itself.

The walk consumes and closes: what a visitor leaves is not acked and goes back to its place (of over
65,535 letters, a broker may put some before others). It is bounded by the number of letters at its
start, and holds none of them in memory.
"""

import hashlib
import math
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

import msgspec

from durian.errors import MessageError, MessageRefused, TopologyError, Unavailable
from durian.wire.broker import Broker, Consumer, Incoming, Outgoing, Publisher, QueueState
from durian.wire.dead import ID_LENGTH, Autopsy, read_autopsy
from durian.wire.link import DECLARE
from durian.wire.messages import DeliveryMessage, decode, encode
from durian.wire.publishing import MAX_UNCONFIRMED, wait_settled
from durian.wire.topology import Topology
from durian.wire.wakeup import wait_readable

PREFETCH = 65_535
IDLE_SECONDS = 5.0
"""How long nothing may arrive before the walk gives up: the broker is away, or is held up."""
DOUBT_SECONDS = 1.0
"""How long it is doubted that there are no letters, or that somebody else looks at them. RabbitMQ
says 0 of a queue that does not answer it within a quarter of a second, such as one to which a walk
has just given its letters back; and a walk that has ended may still count as a consumer."""
ASK_AGAIN_SECONDS = 0.2
CONFIRM_SECONDS = 30.0
LAST_CONFIRMS_SECONDS = 5.0
"""How long a walk that was interrupted waits for the confirms that are on their way."""
SOMEBODY_ELSE = "Somebody else is looking into the dead letters; try again later."


@dataclass(frozen=True)
class Letter:
    """A dead letter: the message as it was, and why it is dead."""

    id: str
    body: bytes
    autopsy: Autopsy
    headers: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Kept:
    """A letter that stays: the broker will not take what was to be published in its place."""

    id: str
    size: int
    reason: str


class Leave(Enum):
    """What a visitor may say of a letter, beside giving the message to publish in its place."""

    IN_PLACE = "in place"
    DISCARDED = "discarded"


Visitor = Callable[[Letter], Leave | Outgoing]


class Walk:
    """One walk through all letters; only one may be under way."""

    def __init__(
        self,
        broker: Broker,
        visitor: Visitor,
        seconds: float = math.inf,
        most: int = sys.maxsize,
    ) -> None:
        """After `seconds`, or `most` letters, the walk ends early; by default it sees all."""
        self._broker = broker
        self._visitor = visitor
        self._deadline = time.monotonic() + seconds
        self._most = most
        self._publisher: Publisher | None = None
        self._refusals: list[Unavailable] = []
        self._largest = 0
        """How many bytes the broker has been seen to take in one message."""
        self._consumer: Consumer
        self.total = 0
        self.seen = 0
        self.kept: list[Kept] = []

    def run(self, progress: Callable[[int, int], None] = lambda seen, total: None) -> None:
        """Visit every letter; `progress` is told how many of how many were seen.

        Raises Unavailable when the broker is away or stalls, or another walk is under way, and
        TopologyError when there is no queue. A letter is gone from the queue only when the visitor
        said so, and what it gave instead is confirmed. `kept` has those for which the broker will
        not take that at any time.
        """
        self.total = self._count()
        if not self.total:
            return
        self._most = min(self._most, self.total)
        width = -(-self._most // PREFETCH)
        dead = self._broker.topology.dead
        self._consumer = self._broker.consumer(dead, min(self._most, PREFETCH), self._visit, width)
        try:
            self._be_alone(width)
            self._read_all(progress)
            if self._publisher:
                wait_settled(self._publisher, 0, CONFIRM_SECONDS)
            if self._refusals:
                raise self._refusals[0]
        finally:
            if self._publisher:
                # Also after Ctrl-C: what is published already shall not stay as a letter, too.
                with suppress(Unavailable):
                    wait_settled(self._publisher, 0, LAST_CONFIRMS_SECONDS)
                self._publisher.close()
            self._consumer.close()

    def _count(self) -> int:
        state = self._ask(lambda state: state.messages > 0 and not state.consumers, DOUBT_SECONDS)
        if state.consumers:
            raise Unavailable(SOMEBODY_ELSE)
        return state.messages

    def _be_alone(self, width: int) -> None:
        """Raise Unavailable if there are other consumers beside the `width` of this walk.

        Only now: two walks that begin together have both counted none.
        """
        # By another connection: on this one the answer would come after all the letters.
        state = self._ask(lambda state: state.consumers == width, IDLE_SECONDS)
        if state.consumers > width:
            raise Unavailable(SOMEBODY_ELSE)
        if state.consumers < width:
            raise Unavailable("The broker does not say who looks into the dead letters; try again.")

    def _ask(self, credible: Callable[[QueueState], bool], seconds: float) -> QueueState:
        """Return the queue's state, as soon as it is credible or after so many seconds."""
        until = time.monotonic() + seconds
        state = self._state()
        while not credible(state) and time.monotonic() < until:
            time.sleep(ASK_AGAIN_SECONDS)
            state = self._state()
        return state

    def _state(self) -> QueueState:
        states = {state.name: state for state in self._broker.states()}
        state = states[self._broker.topology.dead]
        if not state.exists:
            raise TopologyError(
                f"There is no queue {state.name!r} on the broker. Are BROKER_URL and NAME_PREFIX "
                f"right? {DECLARE}"
            )
        return state

    def _read_all(self, progress: Callable[[int, int], None]) -> None:
        idle_since = time.monotonic()
        while self.seen < self._most and time.monotonic() < self._deadline:
            before = self.seen
            sources = [self._publisher] if self._publisher else []
            wait_readable([self._consumer, *sources], 0.2)
            self._consumer.read()
            if self._publisher:
                self._publisher.read()
                self._consumer.flush()
            if self.seen > before:
                idle_since = time.monotonic()
                progress(self.seen, self.total)
            elif time.monotonic() - idle_since > IDLE_SECONDS:
                raise Unavailable(
                    f"The broker gave {self.seen} of {self.total} dead letters, and then none for "
                    f"{IDLE_SECONDS:g} s; try again."
                )

    def _visit(self, incoming: Incoming) -> None:
        if self.seen >= self._most or time.monotonic() >= self._deadline:
            return  # It died after the walk began, or comes too late; closing puts it back.
        self.seen += 1
        letter = _letter(incoming)
        answer = self._visitor(letter)
        if answer is Leave.DISCARDED:
            self._consumer.ack(incoming.tag)
        elif isinstance(answer, Outgoing):
            self._replace(letter, incoming.tag, answer)

    def _replace(self, letter: Letter, tag: int, message: Outgoing) -> None:
        if self._publisher is None:
            self._publisher = self._broker.publisher()
        # The broker refuses a message for its size, and closes the channel without a word of those
        # before: one that is larger than all that it took goes alone.
        size = len(message.body)
        room = MAX_UNCONFIRMED if size <= self._largest else 1
        wait_settled(self._publisher, room - 1, CONFIRM_SECONDS)
        # What is confirmed by now shall not be replayed again should this process end.
        self._consumer.flush()
        try:
            ack = partial(self._consumer.ack, tag)
            self._publisher.publish(message, ack, self._refusals.append)
            if size > self._largest:
                wait_settled(self._publisher, 0, CONFIRM_SECONDS)
                self._largest = size
        except MessageRefused as error:
            self.kept.append(Kept(letter.id, size, str(error)))
            self._connect_anew(self._publisher)

    def _connect_anew(self, publisher: Publisher) -> None:
        # It counts the message that was refused as pending for ever.
        wait_settled(publisher, 1, CONFIRM_SECONDS)
        publisher.close()
        self._publisher = None


def revived(topology: Topology, letter: Letter) -> Outgoing:
    """Return the message that gives `letter` another chance: attempts anew, the same webhook-id.

    What cannot be read goes back to the queue that it came from, as it is, for a newer process.
    """
    queue = letter.autopsy.source or topology.deliver
    if queue != topology.deliver:
        return Outgoing("", queue, letter.body, letter.id)
    try:
        delivery = decode(DeliveryMessage, letter.body)
    except MessageError:
        return Outgoing("", queue, letter.body, letter.id)
    anew = msgspec.structs.replace(
        delivery,
        attempt=1,
        run=str(uuid.uuid4()),
        first_attempt=0.0,
        held_since=0.0,
        not_before=0.0,
        delay=0.0,
        reserved=False,
    )
    return Outgoing("", queue, encode(anew), anew.id)


def _letter(incoming: Incoming) -> Letter:
    headers = dict(incoming.headers)
    # A message that somebody else put there may have no id; it is to be named all the same.
    name = incoming.message_id or hashlib.sha256(incoming.body).hexdigest()[:ID_LENGTH]
    return Letter(name, incoming.body, read_autopsy(headers, incoming.body), headers)

"""Acks of one channel, in as few frames as can be.

The broker keeps what a channel has not acked in the order of its delivery, and looks from the
oldest on for each tag that it hears; and what one frame acks is one command for a quorum queue,
however much that is. So an ack may wait a moment for those of older messages, to leave with them.
"""

from collections.abc import Iterator
from typing import NamedTuple

HELD_SECONDS = 0.2
"""How long an ack waits for those of older messages, one of which may take as long as it likes."""
PART = 4
"""So much of the places that nothing undone takes may be held: the broker fills the others."""


class Ack(NamedTuple):
    """A message that is done with, and if `multiple` all older ones (AMQP 0-9-1, basic.ack)."""

    tag: int
    multiple: bool


class Acks:
    """Says what to ack, of the messages that are done with. For one thread.

    Tags are 1, 2, 3 … (RabbitMQ, Consumer Acknowledgements: they grow by one for each delivery on a
    channel). The broker gives out no more than `places` that are not acked.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._oldest = 1
        """All tags before this one are acked."""
        self._newest = 0
        self._held: dict[int, float] = {}
        """What may wait, and since when it does, in the order of that."""
        self._urgent: set[int] = set()
        self._ahead: set[int] = set()
        """What is acked without the older ones."""

    def arrived(self, tag: int) -> None:
        """Note that a message has come."""
        self._newest = tag

    def add(self, tag: int, now: float, hold: bool) -> None:
        """Note that a message is done with, and whether its ack may wait.

        `now` is in seconds, of any clock.
        """
        if hold:
            self._held[tag] = now
        else:
            self._urgent.add(tag)

    def due(self, now: float) -> Iterator[Ack]:
        """Yield the acks to send now, each once."""
        if self._held or self._urgent:
            yield from self._in_order()
            yield from self._out_of_order(now if self._may_hold() else float("inf"))

    def rest(self) -> Iterator[Ack]:
        """Yield all that have not been sent, since there will be no other moment."""
        return self.due(float("inf"))

    def _may_hold(self) -> bool:
        done = len(self._held) + len(self._urgent) + len(self._ahead)
        undone = self._newest - self._oldest + 1 - done
        return len(self._held) <= (self._places - undone) // PART

    def _in_order(self) -> Iterator[Ack]:
        newest, tag = 0, self._oldest
        while True:
            if self._is_done(tag):
                # The broker wants a tag here that it waits for.
                newest = tag
            elif tag in self._ahead:
                self._ahead.remove(tag)
            else:
                break
            tag += 1
        self._oldest = tag
        if newest:
            yield Ack(newest, multiple=True)

    def _is_done(self, tag: int) -> bool:
        if tag in self._urgent:
            self._urgent.remove(tag)
            return True
        return self._held.pop(tag, None) is not None

    def _out_of_order(self, now: float) -> Iterator[Ack]:
        late = []
        for tag, since in self._held.items():
            if now - since < HELD_SECONDS:
                break
            late.append(tag)
        for tag in late:
            del self._held[tag]
        alone = sorted([*late, *self._urgent])
        self._urgent.clear()
        self._ahead.update(alone)
        for tag in alone:
            yield Ack(tag, multiple=False)

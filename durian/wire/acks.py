"""Acks of one channel, in as few frames as can be.

The broker keeps what a channel has not acked in the order of its delivery, and looks from the
oldest on for each tag that it hears; and what one frame acks is one command for a quorum queue,
however much that is. So acks wait a moment for those of older messages, to leave together.
"""

from collections.abc import Iterator
from typing import NamedTuple

HELD_SECONDS = 0.2
"""How long an ack waits for those of older messages, one of which may take as long as it likes."""


class Ack(NamedTuple):
    """A message that is done with, and if `multiple` all older ones (AMQP 0-9-1, basic.ack)."""

    tag: int
    multiple: bool


class Acks:
    """Says what to ack, of the messages that are done with. For one thread.

    Tags are 1, 2, 3 … (RabbitMQ, Consumer Acknowledgements: they grow by one for each delivery on a
    channel). `most` acks are held at once, since each keeps a place of the prefetch.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._oldest = 1
        """All tags before this one are acked."""
        self._held: dict[int, float] = {}
        """What is done with and not acked, and since when, in the order of that."""
        self._ahead: set[int] = set()
        """What is acked without the older ones."""

    def add(self, tag: int, now: float) -> None:
        """Note that a message is done with; `now` is in seconds, of any clock."""
        self._held[tag] = now

    def due(self, now: float) -> Iterator[Ack]:
        """Yield the acks to send now, each once."""
        if self._held:
            yield from self._in_order()
            yield from self._out_of_order(now if len(self._held) <= self._most else float("inf"))

    def rest(self) -> Iterator[Ack]:
        """Yield all that have not been sent, since there will be no other moment."""
        return self.due(float("inf"))

    def _in_order(self) -> Iterator[Ack]:
        newest, tag = 0, self._oldest
        while True:
            if self._held.pop(tag, None) is not None:
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

    def _out_of_order(self, now: float) -> Iterator[Ack]:
        late = []
        for tag, since in self._held.items():
            if now - since < HELD_SECONDS:
                break
            late.append(tag)
        for tag in sorted(late):
            del self._held[tag]
            self._ahead.add(tag)
            yield Ack(tag, multiple=False)

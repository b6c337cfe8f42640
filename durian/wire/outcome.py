"""What a handler of messages is given, and what it answers."""

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from durian.wire.broker import Incoming, Outgoing

Done = Callable[[], None]


class Messages(Protocol):
    """So many messages, one after the other: a list, or what makes each when it is sent."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __iter__(self) -> Iterator[Outgoing]:
        """Return all of them, once."""
        ...


class Outcome(msgspec.Struct, frozen=True):
    """What becomes of a message: `publish` these, then `record`, then it is acked.

    `record` is called once all of `publish` is confirmed, at once if there is nothing to publish.
    It calls what it is given when it is done, now or later and from any thread.
    """

    publish: Messages = ()
    record: Callable[[Done], None] | None = None


Answer = Callable[[Outcome], None]
Handler = Callable[[Incoming, Answer], None]

"""What tests of the site share: hooks for a while, a broker and a replica that do as told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from durian.errors import MessageRefused, Unavailable
from durian.hook import Hook
from durian.registry import hooks
from durian.wire.broker import Confirmed, Outgoing, Refused
from durian.wire.messages import EventMessage, decode
from durian.wire.topology import Topology
from durian.wire.wakeup import Wakeup
from tests.publishing import PublishingOnly

AnyHook = TypeVar("AnyHook", bound=Hook)


@contextmanager
def registered(hook: AnyHook) -> Iterator[AnyHook]:
    """Have `hook` in the registry during the block."""
    hooks.register(hook)
    try:
        yield hook
    finally:
        hooks.unregister(hook)


class ToldBroker(PublishingOnly):
    """A broker for publishing: away, silent, or choosy, as a test tells it."""

    def __init__(self) -> None:
        self.topology = Topology()
        self.away = False
        self.blocked = False
        self.refuses: Callable[[Outgoing], bool] = lambda message: False
        self.confirms = threading.Event()
        self.confirms.set()
        self.asked = threading.Event()
        self.connections = 0
        self.publishing: list[Outgoing] = []
        """What waits for its confirm."""
        self.published: list[Outgoing] = []

    @property
    def events(self) -> list[EventMessage]:
        """What has been published, in its order."""
        return [decode(EventMessage, message.body) for message in self.published]

    @property
    def hooks(self) -> list[str]:
        """The hooks of what has been published, in its order."""
        return [message.key for message in self.published]

    def publisher(self) -> "ToldPublisher":
        """Connect, unless the broker is away."""
        if self.away:
            raise Unavailable("The broker is away.")
        self.connections += 1
        return ToldPublisher(self)


class ToldPublisher:
    """A connection to a ToldBroker; it confirms in `read`, once the broker's `confirms` is set."""

    def __init__(self, broker: ToldBroker) -> None:
        self._broker = broker
        self._open: list[tuple[Outgoing, Confirmed, Refused]] = []
        self._wakeup = Wakeup()

    def fileno(self) -> int:
        """Return what is readable while something waits for its confirm."""
        return self._wakeup.fileno()

    def publish(self, message: Outgoing, confirmed: Confirmed, refused: Refused) -> None:
        """Take `message`."""
        self._open.append((message, confirmed, refused))
        self._broker.publishing.append(message)
        self._wakeup.set()

    def flush(self) -> None:
        """Do nothing: the broker was told already."""

    def read(self) -> None:
        """Confirm or refuse what was published."""
        self._broker.asked.set()
        if self._broker.away:
            raise Unavailable("The broker went away.")
        if not self._broker.confirms.wait(0.01):
            return
        self._wakeup.clear()
        waiting, self._open = self._open, []
        self._broker.publishing.clear()
        for message, confirmed, refused in waiting:
            if self._broker.refuses(message):
                refused(MessageRefused("The broker takes no such thing."))
            else:
                self._broker.published.append(message)
                confirmed()

    @property
    def blocked(self) -> bool:
        """Whether the broker has an alarm."""
        return self._broker.blocked

    @property
    def pending(self) -> int:
        """How many wait."""
        return len(self._open)

    def close(self) -> None:
        """Do nothing: the next one is another connection."""


class Replica:
    """A router to a replica that has nothing yet."""

    def db_for_read(self, model: type, **hints: Any) -> str:
        return "other"

    def db_for_write(self, model: type, **hints: Any) -> str:
        return "default"

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        return True

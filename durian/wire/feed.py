"""Feeding the public exchange: beside the pipeline, over a connection of its own.

What goes wrong with other people's queues must neither hold deliveries up nor send them twice.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable

from durian.errors import MessageRefused
from durian.wire.broker import Broker, Outgoing
from durian.wire.sender import Sender
from durian.wire.wakeup import HasFileno, Wakeup, wait_readable

logger = logging.getLogger("durian.wire")

TICK_SECONDS = 1.0

Done = Callable[[], None]


class Feed:
    """Publishes what it takes, and says when the broker has it."""

    def __init__(self, broker: Broker) -> None:
        self._sender = Sender(broker)
        self._taken: deque[tuple[Outgoing, Done]] = deque()
        self._wakeup = Wakeup()
        self._stopping = threading.Event()

    def take(self, message: Outgoing, done: Done) -> None:
        """Publish `message`; `done` is called, from the feed's thread. From any thread."""
        self._taken.append((message, done))
        self._wakeup.set()

    def run(self) -> None:
        """Publish until `stop`."""
        while not self._stopping.is_set():
            while self._taken:
                self._send(*self._taken.popleft())
            self._sender.turn()
            sources: list[HasFileno] = [self._wakeup, *self._sender.sources()]
            wait_readable(sources, TICK_SECONDS if self._sender.idle else 0.1)
            self._wakeup.clear()
        self._sender.close()

    def stop(self) -> None:
        """Let `run` return; what is not confirmed then is published anew with its event."""
        self._stopping.set()
        self._wakeup.set()

    def _send(self, message: Outgoing, done: Done) -> None:
        def never(error: MessageRefused) -> None:
            logger.error("The public exchange takes no event %s: %s", message.message_id, error)
            done()

        self._sender.send(message, done, never)

"""Publishing to RabbitMQ, over a connection of its own.

Confirms are matched by tag here and not by kombu's `confirm_publish`, which matches them by
arrival, one at a time.
"""

import logging
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

from amqp.exceptions import FrameSyntaxError, PreconditionFailed

from durian.errors import MessageRefused, TopologyError, Unavailable
from durian.wire.broker import Confirmed, Outgoing, Refused
from durian.wire.link import DECLARE, Link

logger = logging.getLogger("durian.wire")

COMPLAINT_SECONDS = 60.0
"""How often a foreign queue's refusals are logged: there may be one for each event."""


class RabbitPublisher:
    """Publishes with pipelined confirms and the mandatory flag."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._published = 0
        self._pending: dict[int, _Pending] = {}
        self._settled: list[Callable[[], None]] = []
        self._next_complaint = 0.0
        link.channel.confirm_select()
        link.channel.events["basic_ack"].add(self._on_ack)
        link.channel.events["basic_nack"].add(self._on_nack)
        link.channel.events["basic_return"].add(self._on_return)

    def fileno(self) -> int:
        """Return the socket."""
        return self._link.fileno()

    def publish(self, message: Outgoing, confirmed: Confirmed, refused: Refused) -> None:
        """Write `message`; a later `read` calls either `confirmed`, or `refused` with the reason.

        Raises Unavailable, MessageRefused for what AMQP cannot carry.
        """
        self._published += 1
        self._pending[self._published] = _Pending(message, confirmed, refused)
        with self._link.talking():
            try:
                # A message that comes back as unroutable is known by its number.
                self._link.publish(message, self._published)
            except (FrameSyntaxError, ValueError, struct.error) as error:
                raise MessageRefused(f"AMQP cannot carry the message: {error}") from error

    def flush(self) -> None:
        """Send what was written. Raises Unavailable."""
        with self._link.talking():
            self._link.flush()

    def read(self) -> None:
        """Call what was confirmed or refused.

        Raises Unavailable when the connection is lost, MessageRefused when the broker closed the
        channel because of a message, such as for its size.
        """
        try:
            with self._link.talking():
                self._link.read()
        except Unavailable as error:
            if isinstance(error.__cause__, PreconditionFailed):
                raise MessageRefused(error.__cause__.reply_text) from error
            raise
        finally:
            settled, self._settled = self._settled, []
            for call in settled:
                call()

    @property
    def blocked(self) -> bool:
        """Whether the broker has an alarm and takes no messages."""
        return self._link.blocked

    @property
    def pending(self) -> int:
        """How many messages are neither confirmed nor refused yet."""
        return len(self._pending) + len(self._settled)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for pending in self._answered(tag, multiple):
            if pending.returned:
                self._settled.append(partial(pending.refused, pending.returned))
            else:
                self._settled.append(pending.confirmed)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        for pending in self._answered(tag, multiple):
            if pending.message.mandatory:
                error = Unavailable(f"A queue refused what is sent to {_target(pending.message)}.")
                self._settled.append(partial(pending.refused, error))
            else:
                self._settled.append(pending.confirmed)
                self._complain()

    def _on_return(self, error: Exception, exchange: str, key: str, content: Any) -> None:
        # Its ack follows.
        pending = self._pending[int(content.properties["correlation_id"])]
        target = _target(pending.message)
        pending.returned = TopologyError(f"No queue takes what is sent to {target}. {DECLARE}")

    def _answered(self, tag: int, multiple: bool) -> list["_Pending"]:
        # Tags rise, and the dict keeps their order.
        tags = list(takewhile(lambda one: one <= tag, self._pending)) if multiple else [tag]
        return [self._pending.pop(one) for one in tags]

    def _complain(self) -> None:
        if time.monotonic() >= self._next_complaint:
            self._next_complaint = time.monotonic() + COMPLAINT_SECONDS
            logger.warning("A queue that is not durian's refuses events; it does not get them.")


@dataclass
class _Pending:
    message: Outgoing
    confirmed: Confirmed
    refused: Refused
    returned: TopologyError | None = None


def _target(message: Outgoing) -> str:
    return f"exchange {message.exchange!r}" if message.exchange else f"queue {message.key!r}"

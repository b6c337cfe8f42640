"""Dead letters: messages that could not be handled, with the reason in their headers.

The body stays as it was, byte for byte, so that a replay sends the same.
"""

import time
import uuid
from dataclasses import dataclass
from typing import Any

from durian.wire.broker import Incoming, Outgoing
from durian.wire.topology import Topology

MAX_DETAIL = 1000
ID_LENGTH = 12
DELIVERY_LIMIT = "delivery-limit"
"""The reason of a message that ended its process, again and again: the broker buried it."""


@dataclass(frozen=True)
class Autopsy:
    """Why a message is dead. Times are in seconds since the epoch, 0 when there was no attempt."""

    reason: str
    detail: str = ""
    event: str = ""
    hook: str = ""
    listener: int = 0
    attempts: int = 0
    last_status: int = 0
    first_attempt: float = 0.0
    last_attempt: float = 0.0
    source: str = ""
    died: float = 0.0


def letter(topology: Topology, incoming: Incoming, autopsy: Autopsy) -> Outgoing:
    """Return the dead letter of `incoming`."""
    headers: dict[str, Any] = {
        "durian-reason": autopsy.reason,
        "durian-detail": autopsy.detail[:MAX_DETAIL],
        "durian-event": autopsy.event,
        "durian-hook": autopsy.hook,
        "durian-listener": autopsy.listener,
        "durian-attempts": autopsy.attempts,
        "durian-last-status": autopsy.last_status,
        # Text, since an AMQP table has no floating point that every client reads alike.
        "durian-first-attempt": repr(autopsy.first_attempt),
        "durian-last-attempt": repr(autopsy.last_attempt),
        "durian-source": incoming.queue,
        "durian-died": repr(autopsy.died or time.time()),
    }
    return Outgoing("", topology.dead, incoming.body, uuid.uuid4().hex[:ID_LENGTH], headers)


def read_autopsy(headers: Any) -> Autopsy:
    """Return what the headers of a dead letter say, also of one that the broker buried."""
    if "durian-reason" not in headers:
        return _buried_by_broker(headers)
    return Autopsy(
        reason=str(headers["durian-reason"]),
        detail=str(headers.get("durian-detail", "")),
        event=str(headers.get("durian-event", "")),
        hook=str(headers.get("durian-hook", "")),
        listener=int(headers.get("durian-listener", 0)),
        attempts=int(headers.get("durian-attempts", 0)),
        last_status=int(headers.get("durian-last-status", 0)),
        first_attempt=float(headers.get("durian-first-attempt", 0)),
        last_attempt=float(headers.get("durian-last-attempt", 0)),
        source=str(headers.get("durian-source", "")),
        died=float(headers.get("durian-died", 0)),
    )


def _buried_by_broker(headers: Any) -> Autopsy:
    deaths = headers.get("x-death") or [{}]
    reason = str(deaths[0].get("reason", "unknown")).replace("_", "-")
    when = deaths[0].get("time")
    return Autopsy(
        reason=reason,
        detail="The broker moved it here: it was given back too often by processes that ended.",
        source=str(deaths[0].get("queue", "")),
        died=when.timestamp() if hasattr(when, "timestamp") else 0.0,
    )

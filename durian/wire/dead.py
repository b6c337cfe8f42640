"""Dead letters: messages that could not be handled, with the reason in their headers.

The body stays as it was, byte for byte, so that a replay sends the same.
"""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import msgspec

from durian.wire.broker import Incoming, Outgoing
from durian.wire.topology import Topology

MAX_DETAIL = 1000
MAX_NUMBER = 1e11
"""Later than any time, in seconds, that a letter can have died at."""
ID_LENGTH = 12


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
    """Return the dead letter of `incoming`, which may wait for others to be sent with."""
    said = {
        "reason": autopsy.reason,
        "detail": autopsy.detail,
        "event": autopsy.event,
        "hook": autopsy.hook,
        "listener": autopsy.listener,
        "attempts": autopsy.attempts,
        "last-status": autopsy.last_status,
        "first-attempt": autopsy.first_attempt,
        "last-attempt": autopsy.last_attempt,
        "source": incoming.queue,
        "died": autopsy.died or time.time(),
    }
    headers = {f"durian-{name}": _header(value) for name, value in said.items()}
    name = uuid.uuid4().hex[:ID_LENGTH]
    return Outgoing("", topology.dead, incoming.body, name, headers, patient=True)


def read_autopsy(headers: Mapping[str, Any], body: bytes) -> Autopsy:
    """Return what a dead letter says of its death, also one that the broker buried.

    What the headers leave out of event, hook and listener is looked for in the body.
    """
    autopsy = _written(headers) if "durian-reason" in headers else _buried_by_broker(headers)
    subject = _subject(body)
    return replace(
        autopsy,
        event=autopsy.event or subject.event or subject.id,
        hook=autopsy.hook or subject.hook,
        listener=autopsy.listener or max(subject.listener, 0),
    )


def _header(value: object) -> str:
    # Text, since AMQP's numbers have bounds and not every client reads its floating point; bounded,
    # and without what UTF-8 cannot say, since a letter that cannot be written is a letter lost.
    return str(value)[:MAX_DETAIL].encode("utf-8", "replace").decode()


def _written(headers: Mapping[str, Any]) -> Autopsy:
    def text(name: str) -> str:
        return str(headers.get(f"durian-{name}", ""))

    return Autopsy(
        reason=text("reason"),
        detail=text("detail"),
        event=text("event"),
        hook=text("hook"),
        listener=int(_number(text("listener"))),
        attempts=int(_number(text("attempts"))),
        last_status=int(_number(text("last-status"))),
        first_attempt=_number(text("first-attempt")),
        last_attempt=_number(text("last-attempt")),
        source=text("source"),
        died=_number(text("died")),
    )


def _number(text: str) -> float:
    # Whoever may publish on the broker may have put anything into the header.
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 <= number < MAX_NUMBER else 0.0


def _buried_by_broker(headers: Mapping[str, Any]) -> Autopsy:
    try:
        death = headers["x-death"][0]
        reason, source, when = str(death["reason"]), str(death["queue"]), death["time"]
    except (LookupError, TypeError):
        return Autopsy(reason="unknown", detail="It was put here by somebody else than durian.")
    return Autopsy(
        reason=reason.replace("_", "-"),
        detail="The broker moved it here: it was given back too often by processes that ended.",
        source=source,
        # py-amqp gives a time in UTC that does not say so.
        died=when.replace(tzinfo=timezone.utc).timestamp() if isinstance(when, datetime) else 0.0,
    )


class _Subject(msgspec.Struct):
    id: str = ""
    event: str = ""
    hook: str = ""
    listener: int = 0


def _subject(body: bytes) -> _Subject:
    try:
        return msgspec.json.decode(body, type=_Subject)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _Subject()

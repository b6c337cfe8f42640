"""Identities: an event's, made where it is raised, and a delivery's, derived from it."""

import os
import time
import uuid
from datetime import datetime, timezone
from hashlib import sha1

LARGEST_ROW = 2**63 - 1
"""The largest number that a row of a table can have, as Django's BigAutoField."""


def new_event_id() -> uuid.UUID:
    """Return a UUIDv7 of now: unique, and in the order of time as far as clocks agree.

    RFC 9562, section 5.7, with the fraction of the millisecond in `rand_a` (section 6.2, method 3).
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | random)


def first_event_id(moment: datetime) -> uuid.UUID:
    """Return the smallest id of an event that is raised in the millisecond of `moment`.

    Before 1970 none was.
    """
    milliseconds = max(int(moment.timestamp() * 1000), 0)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0x2 << 62)


def first_event_id_after(moment: datetime) -> uuid.UUID:
    """Return the smallest id of an event that is raised after the millisecond of `moment`."""
    return uuid.UUID(int=first_event_id(moment).int + (1 << 80))


def raised_at(event: uuid.UUID) -> datetime:
    """Return when the event with this id was raised, to the millisecond."""
    return datetime.fromtimestamp((event.int >> 80) / 1000, timezone.utc)


def delivery_id(event: str, listener: int) -> str:
    """Return the id of the delivery of `event` to `listener`: the same on every repeat.

    A UUIDv5 of the listener's number, with the event for its namespace (RFC 9562, section 5.5).
    """
    # A third of the time that uuid.uuid5 takes, and an event may have a thousand deliveries.
    name = bytes.fromhex(event.replace("-", "")) + b"%d" % listener
    text = sha1(name, usedforsecurity=False).hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"

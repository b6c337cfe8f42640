"""Identities: an event's, made where it is raised, and a delivery's, derived from it."""

import os
import time
import uuid
from datetime import datetime, timezone


def new_event_id() -> uuid.UUID:
    """Return a UUIDv7 of now: unique, and in the order of time as far as clocks agree.

    RFC 9562, section 5.7, with the fraction of the millisecond in `rand_a` (section 6.2, method 3).
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | random)


def raised_at(event: uuid.UUID) -> datetime:
    """Return when the event with this id was raised, to the millisecond."""
    return datetime.fromtimestamp((event.int >> 80) / 1000, timezone.utc)


def delivery_id(event: str, listener: int) -> str:
    """Return the id of the delivery of `event` to `listener`: the same on every repeat."""
    return str(uuid.uuid5(uuid.UUID(event), str(listener)))

"""Identities: an event's, made where it is raised, and a delivery's, derived from it."""

import os
import time
import uuid


def new_event_id() -> uuid.UUID:
    """Return a UUIDv7 of now: unique, and nearly in the order of time (RFC 9562, section 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def delivery_id(event: str, listener: int) -> str:
    """Return the id of the delivery of `event` to `listener`: the same on every repeat."""
    return str(uuid.uuid5(uuid.UUID(event), str(listener)))

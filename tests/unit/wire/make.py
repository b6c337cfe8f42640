"""Messages for the tests of the wire."""

import uuid
from typing import Any

from durian.wire.messages import DeliveryMessage, EventMessage


def delivery(**changes: Any) -> DeliveryMessage:
    """Return a delivery, with `changes`."""
    fields: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "event": str(uuid.uuid4()),
        "hook": "order.paid",
        "listener": 7,
        "body": '{"total": "12.50"}',
        "created": 1_700_000_000.0,
    }
    return DeliveryMessage(**fields | changes)


def event(**changes: Any) -> EventMessage:
    """Return an event, with `changes`."""
    fields: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "hook": "order.paid",
        "body": '{"total": "12.50"}',
        "envelope": "plain",
        "created": 1_700_000_000.0,
        "listeners": 3,
    }
    return EventMessage(**fields | changes)

"""What is published in the place of a message that could not be handled."""

import logging

from durian.errors import MessageError, UnknownVersion
from durian.wire.broker import Incoming, Outgoing
from durian.wire.dead import Autopsy, letter
from durian.wire.topology import Topology

logger = logging.getLogger("durian.wire")

PARKED = "durian-parked"
MAX_PARKED = 20
"""How often a message of an unknown version is looked at before it is dead."""


def instead_of(incoming: Incoming, error: Exception, topology: Topology, parking: str) -> Outgoing:
    """Return a dead letter that says of `incoming` with which `error` its handler failed.

    A message of an unknown version goes to the queue `parking` instead, up to MAX_PARKED times.
    """
    if isinstance(error, UnknownVersion):
        parked = _times_parked(incoming)
        if parked < MAX_PARKED:
            headers = {**incoming.headers, PARKED: parked + 1}
            return Outgoing("", parking, incoming.body, incoming.message_id, headers)
    if isinstance(error, MessageError):
        autopsy = Autopsy(reason=error.reason, detail=f"The message {error}")
    else:
        logger.error("A handler of %s failed.", incoming.queue, exc_info=error)
        autopsy = Autopsy(reason="handler-error", detail=f"{type(error).__name__}: {error}")
    return letter(topology, incoming, autopsy)


def _times_parked(incoming: Incoming) -> int:
    # Whoever may publish on the broker may have put anything into the header.
    times = incoming.headers.get(PARKED, 0)
    return times if isinstance(times, int) else MAX_PARKED

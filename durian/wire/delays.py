"""Delays: deliveries wait in the broker, on the ladder of queues, and never in a process.

A message rests on the largest step that is not too long, comes back to the deliverers, and rests
again until its time has come.
"""

import msgspec

from durian.wire.broker import Outgoing
from durian.wire.messages import DeliveryMessage, encode
from durian.wire.topology import LADDER, Topology, step_for

TOLERANCE = 0.03
"""The part of a delay by which a delivery may be early: it spares the last, short rests."""


def delayed(
    topology: Topology,
    delivery: DeliveryMessage,
    seconds: float,
    now: float,
    reserved: bool = False,
) -> Outgoing:
    """Return `delivery` as a message that comes back to the deliverers after `seconds`."""
    waiting = msgspec.structs.replace(
        delivery, not_before=now + seconds, delay=seconds, reserved=reserved
    )
    return _at_rest(topology, waiting, seconds)


def still_early(topology: Topology, delivery: DeliveryMessage, now: float) -> Outgoing | None:
    """Return the message to rest again if it is not yet time for `delivery`, else None."""
    remaining = delivery.not_before - now
    if remaining <= max(delivery.delay * TOLERANCE, LADDER[0] / 5):
        return None
    return _at_rest(topology, delivery, remaining)


def _at_rest(topology: Topology, delivery: DeliveryMessage, seconds: float) -> Outgoing:
    return Outgoing("", topology.delay(step_for(seconds)), encode(delivery), delivery.id)

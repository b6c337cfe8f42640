"""Delays: deliveries wait in the broker, on the ladder of queues, and never in a process.

A message rests on the largest step that is not too long, comes back to the deliverers, and rests
again until its time has come.
"""

import msgspec

from durian.wire.broker import Outgoing
from durian.wire.messages import DeliveryMessage, Label, encode
from durian.wire.topology import Topology, step_for, step_over

LATE_PART = 0.03
"""By which part of its delay a delivery may be late, which spares it many short rests. It is never
early."""
EARLY_SECONDS = 0.05
"""What clocks may differ by without another rest."""
SET_SECONDS = 60.0
"""By more than that clocks do not differ: one was set."""


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
    if not is_early(delivery, now):
        return None
    return _at_rest(topology, delivery, delivery.not_before - now)


def is_early(asked: Label, now: float) -> bool:
    """Say whether it is not yet time for the delivery.

    What has more than all of its delay before it was told so by a clock that has been set since:
    it has rested on most of it already, and by that clock might rest for ever.
    """
    return EARLY_SECONDS < asked.not_before - now <= asked.delay + SET_SECONDS


def _at_rest(topology: Topology, delivery: DeliveryMessage, seconds: float) -> Outgoing:
    step = step_over(seconds)
    if step - seconds > delivery.delay * LATE_PART:
        step = step_for(seconds)
    return Outgoing("", topology.delay(step), encode(delivery), delivery.id, patient=True)

"""The receiver down, failing, resetting connections, and answering too late."""

import time

from tests.chaos.faults.registry import fault
from tests.chaos.world import World, pause

HARM_SECONDS = 3
LATE_SECONDS = 6.0
"""More than the deadline of a POST, which is 5 s."""


@fault("receiver-down")
def receiver_down(world: World) -> None:
    """The receiver takes no connections for 3 s."""
    with world.striking():
        world.door.close()
    pause(HARM_SECONDS)
    world.door.open()


@fault("receiver-failing")
def receiver_failing(world: World) -> None:
    """The receiver answers 503 for 3 s."""
    world.failing = True
    pause(HARM_SECONDS)
    world.failing = False


@fault("receiver-resetting")
def receiver_resetting(world: World) -> None:
    """The receiver's connections are reset every 100 ms, for 3 s: before or after it took a POST.

    Whatever it took meanwhile, it may be sent again.
    """
    until = time.monotonic() + HARM_SECONDS
    with world.striking():
        world.answers_lost = True
        while time.monotonic() < until:
            world.door.cut()
            pause(0.1)
        world.answers_lost = False


@fault("receiver-late")
def receiver_late(world: World) -> None:
    """The receiver takes everything, and answers after the deadline, for 3 s.

    Each of these POSTs has failed, for all that the deliverer can know, and is made again.
    """
    world.latency, usual = LATE_SECONDS, world.latency
    world.answers_lost = True
    pause(HARM_SECONDS)
    world.answers_lost = False
    world.latency = usual

"""The way to the broker cut, torn, slow, narrow, and a black hole."""

from tests.chaos.faults.registry import fault
from tests.chaos.world import World, pause
from tests.servers.free import wait_until

BASIC_PUBLISH = bytes.fromhex("003c 0028")
"""AMQP's class 60, method 40, as every message that is published begins."""
BASIC_ACK = bytes.fromhex("003c 0050")
"""Class 60, method 80: the broker's confirms, and the acks of what was consumed."""


@fault("connections-cut")
def connections_cut(world: World) -> None:
    """Reset every connection to the broker, in the middle of whatever they do, five times."""
    for _ in range(5):
        with world.striking():
            world.proxy.cut()
        pause(world.chance.uniform(0.3, 1.5))


@fault("connections-torn-in-publish")
def torn_in_publish(world: World) -> None:
    """Cut one connection after the other in the middle of a publish, of a confirm or of an ack."""
    for _ in range(5):
        for pattern in (BASIC_PUBLISH, BASIC_ACK):
            with world.striking():
                world.proxy.tear(pattern)
                wait_until(lambda: world.proxy.torn, 30, "a connection was torn")
            pause(world.chance.uniform(0.1, 0.6))


@fault("network-slow")
def network_slow(world: World) -> None:
    """Every chunk to and from the broker takes 200 ms more."""
    with world.lasting(8):
        world.proxy.delay = 0.2
    world.proxy.delay = 0


@fault("network-throttled")
def network_throttled(world: World) -> None:
    """The broker is behind 20 kB a second, on each connection and way."""
    with world.lasting(8):
        world.proxy.rate = 20_000
    world.proxy.rate = 0


@fault("network-black-hole")
def black_hole(world: World) -> None:
    """Nothing passes to or from the broker for 40 s, and nobody is told."""
    with world.striking():
        world.proxy.hole.set()
        pause(40)
    world.proxy.hole.clear()

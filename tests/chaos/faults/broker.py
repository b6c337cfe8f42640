"""The broker's node killed, restarted, away, without memory or disk; and one node of three."""

from tests.chaos.faults.registry import fault
from tests.chaos.world import World, pause


@fault("broker-killed")
def broker_killed(world: World) -> None:
    """SIGKILL the broker's node, and start it again."""
    _away(world, 1)


@fault("broker-restarted")
def broker_restarted(world: World) -> None:
    """Stop the broker's application in good order, and start it again."""
    with world.striking():
        world.rabbitmq.ctl("stop_app")
        pause(2)
    world.rabbitmq.ctl("start_app")


@fault("broker-away-60s")
def broker_away(world: World) -> None:
    """No broker for a minute."""
    _away(world, 60)


def _away(world: World, seconds: float) -> None:
    with world.striking():
        world.rabbitmq.kill()
        pause(seconds)
    world.rabbitmq.start()


@fault("cluster-nodes-killed", cluster=True)
def nodes_killed(world: World) -> None:
    """SIGKILL each node of a cluster of three, one after the other, and start it again."""
    assert world.cluster
    nodes = list(world.cluster.nodes)
    world.chance.shuffle(nodes)
    for node in nodes:
        with world.lasting(3):
            node.kill()
        node.start()
        pause(3)


@fault("memory-alarm")
def memory_alarm(world: World) -> None:
    """The broker has no memory left and blocks its publishers for 8 s."""
    _alarm(world, "set_vm_memory_high_watermark", "0.000001", "0.4")


@fault("disk-alarm")
def disk_alarm(world: World) -> None:
    """The broker has no disk left and blocks its publishers for 8 s."""
    _alarm(world, "set_disk_free_limit", "100000GB", "50MB")


def _alarm(world: World, command: str, alarmed: str, normal: str) -> None:
    answered = world.load.answered
    try:
        with world.lasting(25):
            world.rabbitmq.ctl(command, alarmed)
            alarms = world.rabbitmq.ctl("eval", "rabbit_alarm:get_alarms().")
            assert "resource_limit" in alarms, f"no alarm: {alarms}"
    finally:
        world.rabbitmq.ctl(command, normal)
    assert world.load.answered > answered, "the site answered no request during the alarm"

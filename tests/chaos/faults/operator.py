"""What an operator does by mistake: a queue deleted, rights taken away, a password changed."""

from tests.chaos.faults.registry import fault
from tests.chaos.world import World, pause
from tests.servers.free import wait_until

NOTICE_SECONDS = 20


@fault("queues-deleted")
def queues_deleted(world: World) -> None:
    """Delete the queues of events and deliveries under the running system.

    The roles say so, each of the queue that it consumes; once the queues are declared again, a
    replay from the archive brings back what was in them.
    """
    with world.striking():
        for queue in ("match", "deliver"):
            world.rabbitmq.delete_queues(f"{world.name}.durian.{queue}.")
    for role, queue in (("matcher", "match"), ("deliverer", "deliver")):
        said = f"Queue '{world.name}.durian.{queue}.v1' was deleted"
        for member in world.fleet.of(role):
            wait_until(
                lambda m=member, s=said: s in world.fleet.log(m),  # type: ignore[misc]
                NOTICE_SECONDS,
                f"a {role} logs: {said}",
            )
    done = world.shop.run("topology")
    assert done.returncode == 0, done.stderr
    pause(3)
    with world.striking():
        done = world.shop.run("replay", "--all", "--since", "1h", "--failed")
    assert done.returncode == 0, done.stderr


@fault("wrong-permissions")
def wrong_permissions(world: World) -> None:
    """The site's user may do nothing on the broker any more, for 5 s; connections are cut."""
    with world.lasting(5):
        world.rabbitmq.ctl("clear_permissions", "guest")
        world.proxy.cut()
    world.rabbitmq.ctl("set_permissions", "guest", ".*", ".*", ".*")


@fault("wrong-password")
def wrong_password(world: World) -> None:
    """The password was changed while a role starts; it is changed back 4 s later."""
    member = world.fleet.any_of(world.chance.choice(("publisher", "matcher", "deliverer")))
    with world.striking():
        world.fleet.kill(member)
    world.rabbitmq.ctl("change_password", "guest", "another")
    world.fleet.revive(member)
    pause(4)
    world.rabbitmq.ctl("change_password", "guest", "guest")

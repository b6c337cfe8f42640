"""The faults, by name: each does its harm while the load goes on, and mends what it broke."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from tests.chaos.world import World, pause

Fault = Callable[[World], None]

FAULTS: dict[str, Fault] = {}
SHORT = ("kill-deliverer", "broker-killed", "postgres-killed")
"""The short form, for `make test`."""


def fault(name: str) -> Callable[[Fault], Fault]:
    """Register a fault by `name`."""

    def register(function: Fault) -> Fault:
        FAULTS[name] = function
        return function

    return register


def _killed(role: str) -> Fault:
    def kill(world: World) -> None:
        for _ in range(3):
            process = world.any_of(role)
            process.kill()
            pause(world.chance.uniform(0.2, 1.0))
            world.revive(process)
            pause(world.chance.uniform(0.5, 1.5))

    return kill


def _terminated(role: str) -> Fault:
    def terminate(world: World) -> None:
        process = world.any_of(role)
        process.end(signal.SIGTERM, timeout=30)
        pause(1.0)
        world.revive(process)

    return terminate


for _role in ("publisher", "matcher", "deliverer"):
    FAULTS[f"kill-{_role}"] = _killed(_role)
    FAULTS[f"term-{_role}"] = _terminated(_role)


@fault("stopped-20s")
def stopped(world: World) -> None:
    """SIGSTOP one matcher and one deliverer for 20 s, then SIGCONT."""
    processes = [world.any_of("matcher"), world.any_of("deliverer")]
    for process in processes:
        process.send(signal.SIGSTOP)
    pause(20)
    for process in processes:
        process.send(signal.SIGCONT)


@fault("broker-killed")
def broker_killed(world: World) -> None:
    """SIGKILL the broker's node, and start it again."""
    world.rabbitmq.kill()
    pause(1)
    world.rabbitmq.start()


@fault("broker-restarted")
def broker_restarted(world: World) -> None:
    """Stop the broker's application in good order, and start it again."""
    world.rabbitmq.ctl("stop_app")
    pause(2)
    world.rabbitmq.ctl("start_app")


@fault("broker-away-60s")
def broker_away(world: World) -> None:
    """No broker for a minute."""
    world.rabbitmq.kill()
    pause(60)
    world.rabbitmq.start()


@fault("postgres-killed")
def postgres_killed(world: World) -> None:
    """SIGKILL PostgreSQL with all its sessions, and start it again."""
    world.postgresql.kill()
    pause(2)
    world.postgresql.start()


@fault("postgres-connections-cut")
def postgres_cut(world: World) -> None:
    """pg_terminate_backend on every session of the site, three times."""
    for _ in range(3):
        with psycopg.connect(world.postgresql.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [world.name],
            )
        pause(1)


@fault("connections-cut")
def connections_cut(world: World) -> None:
    """Reset every connection to the broker, in the middle of whatever they do, five times."""
    for _ in range(5):
        world.proxy.cut()
        pause(world.chance.uniform(0.3, 1.5))


@fault("network-slow")
def network_slow(world: World) -> None:
    """Every chunk to and from the broker takes 200 ms more."""
    world.proxy.delay = 0.2
    pause(8)
    world.proxy.delay = 0


@fault("network-throttled")
def network_throttled(world: World) -> None:
    """The broker is behind 20 kB a second."""
    world.proxy.rate = 20_000
    pause(8)
    world.proxy.rate = 0


@fault("network-black-hole")
def black_hole(world: World) -> None:
    """Nothing passes to or from the broker for 40 s, and nobody is told."""
    world.proxy.hole.set()
    pause(40)
    world.proxy.hole.clear()


@contextmanager
def _alarm(world: World, command: str, alarmed: str, normal: str) -> Iterator[None]:
    world.rabbitmq.ctl(command, alarmed)
    yield
    world.rabbitmq.ctl(command, normal)


@fault("memory-alarm")
def memory_alarm(world: World) -> None:
    """The broker has no memory left and blocks its publishers for 8 s."""
    with _alarm(world, "set_vm_memory_high_watermark", "0.000001", "0.4"):
        pause(8)


@fault("disk-alarm")
def disk_alarm(world: World) -> None:
    """The broker has no disk left and blocks its publishers for 8 s."""
    with _alarm(world, "set_disk_free_limit", "100000GB", "50MB"):
        pause(8)


@fault("queue-deleted")
def queue_deleted(world: World) -> None:
    """An operator deletes the queue of deliveries; declares it again; replays from the archive."""
    world.rabbitmq.delete_queues(f"{world.name}.durian.deliver")
    pause(3)
    done = world.shop.run("topology")
    assert done.returncode == 0, done.stderr
    pause(5)
    done = world.shop.run("replay", "--all", "--since", "1h", "--failed")
    assert done.returncode == 0, done.stderr


@fault("wrong-permissions")
def wrong_permissions(world: World) -> None:
    """The site's user may do nothing on the broker any more, for 5 s; connections are cut."""
    world.rabbitmq.ctl("clear_permissions", "guest")
    world.proxy.cut()
    pause(5)
    world.rabbitmq.ctl("set_permissions", "guest", ".*", ".*", ".*")


@fault("wrong-password")
def wrong_password(world: World) -> None:
    """The password was changed while a matcher starts; it is changed back 4 s later."""
    process = world.any_of("matcher")
    process.kill()
    world.rabbitmq.ctl("change_password", "guest", "another")
    world.revive(process)
    pause(4)
    world.rabbitmq.ctl("change_password", "guest", "guest")


@fault("receiver-failing")
def receiver_failing(world: World) -> None:
    """The receiver answers 503 for 3 s."""
    world.failing = True
    pause(3)
    world.failing = False


@fault("receiver-late")
def receiver_late(world: World) -> None:
    """The receiver answers after the deadline for 3 s."""
    world.latency, usual = 6.0, world.latency
    pause(3)
    world.latency = usual

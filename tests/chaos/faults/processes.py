"""Every role killed, ended, and stopped for a while: the site among them."""

import signal

from tests.chaos.faults.registry import Harm, fault
from tests.chaos.world import World, pause

STOPPED_SECONDS = 20


def _killed(role: str) -> Harm:
    def kill(world: World) -> None:
        for _ in range(3):
            member = world.fleet.any_of(role)
            pause(world.chance.uniform(0.0, 0.2))
            with world.striking():
                world.fleet.kill(member)
            pause(world.chance.uniform(0.2, 1.0))
            world.fleet.revive(member)
            pause(world.chance.uniform(0.5, 1.5))

    return kill


def _terminated(role: str) -> Harm:
    def terminate(world: World) -> None:
        member = world.fleet.any_of(role)
        with world.striking():
            world.fleet.terminate([member])
        pause(1.0)
        world.fleet.revive(member)
        pause(2.0)

    return terminate


def _stopped(role: str) -> Harm:
    def stop(world: World) -> None:
        process = world.fleet.any_of(role).process
        with world.lasting(STOPPED_SECONDS):
            process.send(signal.SIGSTOP)
        process.send(signal.SIGCONT)

    return stop


for _role in ("site", "publisher", "matcher", "deliverer"):
    for _name, _make in (("kill", _killed), ("term", _terminated), ("stop", _stopped)):
        fault(f"{_name}-{_role}", site_suffers=_role == "site")(_make(_role))

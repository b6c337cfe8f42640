"""A rolling upgrade from the previous version, in both orders, under load."""

from tests.chaos.faults.registry import Harm, fault
from tests.chaos.world import World, pause

DOWNSTREAM = ("deliverer", "matcher", "publisher", "site")


def _upgraded(roles: tuple[str, ...]) -> Harm:
    def upgrade(world: World) -> None:
        for role in roles:
            for member in world.fleet.of(role):
                with world.striking():
                    world.fleet.replace(member)
            # So old and new work beside each other, the roles on either side of this one too.
            pause(1.5)

    return upgrade


fault("upgrade-from-the-deliverers", old=True)(_upgraded(DOWNSTREAM))
fault("upgrade-from-the-site", old=True)(_upgraded(DOWNSTREAM[::-1]))

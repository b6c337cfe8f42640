"""What a fault is: it does its harm while the load goes on, and mends what it broke."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.world import World

Harm = Callable[[World], None]

FAULTS: dict[str, "Fault"] = {}


@dataclass(frozen=True)
class Fault:
    """A fault, and what it needs.

    `site_suffers` where it hits the site itself, or its database: requests may fail then, and must
    not otherwise. `cluster` asks for three nodes of RabbitMQ, `old` for processes of the previous
    version to begin with.
    """

    harm: Harm
    site_suffers: bool = False
    cluster: bool = False
    old: bool = False


def fault(
    name: str, site_suffers: bool = False, cluster: bool = False, old: bool = False
) -> Callable[[Harm], Harm]:
    """Register a fault by `name`."""

    def register(harm: Harm) -> Harm:
        FAULTS[name] = Fault(harm, site_suffers, cluster, old)
        return harm

    return register

"""What durian has on the broker: its exchanges and queues, by name and arguments.

Queue names carry the topology's version, since a queue's arguments cannot be changed.
"""

from dataclasses import dataclass, field
from typing import Any

VERSION = "v1"
DELIVERY_LIMIT = 50
"""A message that killed its process so many times is dead."""
DEAD_DELIVERY_LIMIT = 2_000_000_000
"""Each look into the dead letters counts as a delivery, and must never destroy one."""
LADDER = tuple(2.0**power for power in range(-2, 17))
"""The steps of delay, in seconds: from a quarter of a second to 18 hours."""
PARKING_SECONDS = 30.0
"""How long an event of an unknown version rests before it is looked at again."""


@dataclass(frozen=True)
class Queue:
    """A queue as it is declared: durable and quorum."""

    name: str
    arguments: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Topology:
    """All names, each with the site's prefix before it."""

    prefix: str = ""

    @property
    def events(self) -> str:
        """The topic exchange of events; its routing keys are names of hooks. durian's alone."""
        return f"{self.prefix}durian.events"

    @property
    def public(self) -> str:
        """The topic exchange that others may bind their queues to."""
        return f"{self.prefix}durian.public"

    @property
    def match(self) -> str:
        """The queue of events, for the matchers."""
        return f"{self.prefix}durian.match.{VERSION}"

    @property
    def deliver(self) -> str:
        """The queue of deliveries, for the deliverers."""
        return f"{self.prefix}durian.deliver.{VERSION}"

    @property
    def dead(self) -> str:
        """The queue of dead letters."""
        return f"{self.prefix}durian.dead.{VERSION}"

    @property
    def parked_events(self) -> str:
        """The queue in which events of an unknown version rest before they are matched again."""
        return f"{self.prefix}durian.match.parked.{VERSION}"

    def delay(self, step: float) -> str:
        """Return the queue that holds deliveries back for `step` seconds, one of LADDER."""
        return f"{self.prefix}durian.delay.{step:g}s.{VERSION}"

    def exchanges(self, public: bool) -> list[str]:
        """Return the exchanges to declare, that for others only if the site feeds it."""
        return [self.events, self.public] if public else [self.events]

    def queues(self) -> list[Queue]:
        """Return every queue, in the order in which to declare them."""
        return [
            Queue(self.dead, _quorum(DEAD_DELIVERY_LIMIT)),
            Queue(self.match, _quorum(DELIVERY_LIMIT) | _dead_letter_to(self.dead)),
            Queue(self.deliver, _quorum(DELIVERY_LIMIT) | _dead_letter_to(self.dead)),
            Queue(self.parked_events, _delayed(self.match, PARKING_SECONDS)),
            *(Queue(self.delay(step), _delayed(self.deliver, step)) for step in LADDER),
        ]


def step_for(delay: float) -> float:
    """Return the largest step of the ladder that is not longer than `delay` (or the smallest)."""
    return max((step for step in LADDER if step <= delay), default=LADDER[0])


def step_over(delay: float) -> float:
    """Return the smallest step of the ladder that is not shorter than `delay` (or the largest).

    A delay that is a step is one rest, and each rest costs the broker as much as several messages:
    who need not be exact takes this one.
    """
    return min((step for step in LADDER if step >= delay), default=LADDER[-1])


def _quorum(delivery_limit: int) -> dict[str, Any]:
    return {"x-queue-type": "quorum", "x-delivery-limit": delivery_limit}


def _dead_letter_to(queue: str) -> dict[str, Any]:
    # Without reject-publish, RabbitMQ degrades at-least-once dead-lettering to at-most-once.
    return {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _delayed(target: str, seconds: float) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": int(seconds * 1000),
        **_dead_letter_to(target),
    }

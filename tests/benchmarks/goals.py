"""What durian is to reach on a machine of two cores, and what each figure is set beside.

Rates and times that hang on the processor are goals for a machine on which the peer drains its
queue at PEER_DRAINS. On a slower one, and a virtual one is slower at times by half, they are held
against its speed, by what the peer does there in the same run. A quicker one has to do no more.
"""

from collections.abc import Iterator, Mapping

from tests.benchmarks.rows import Goal, Row

PEER_DRAINS = 150
"""Events a second, stored."""
SPEED, SLOWNESS = "machine.speed", "machine.slowness"

PROCESSES = ("site", "publisher", "matcher", "deliverer")

GOALS = (
    Goal("pipeline.rate", 2_500, of=SPEED),
    Goal("pipeline.rate", 15, of="peer.drain"),
    Goal("whole.rate", 5, of="peer.whole"),
    Goal("send.rate", 1.5, of="peer.send"),
    Goal("send.many", 8, of="peer.send"),
    Goal("deliverer.rate", 5_000, of=SPEED),
    Goal("deliverer.rate_200ms", 4_000, of=SPEED),
    Goal("deliverer.rate_2s", 1_000),
    Goal("isolation.rate_hanging", 0.8, of="isolation.rate"),
    Goal("isolation.latency_hanging.p99", 2, of="isolation.latency.p99", at_most=True),
    Goal("isolation.latency_backlog.p99", 2, of="isolation.latency.p99", at_most=True),
    Goal("matcher.mixed", 60, of=SLOWNESS, at_most=True),
    Goal("matcher.1000000.seconds", 30, of=SLOWNESS, at_most=True),
    Goal("matcher.1000000.memory", 1_500, at_most=True),
    Goal("relay.rate", 8_000, of=SPEED),
    Goal("relay.rate", 0.4, of="limits.publish"),
    Goal("growth.backlog.1000000", 0.8, of="growth.backlog.20000"),
    Goal("latency.idle.p50", 15, at_most=True),
    Goal("latency.idle.p99", 50, at_most=True),
    *(Goal(f"idle.cpu.{name}", 1, at_most=True) for name in PROCESSES),
    *(Goal(f"idle.memory.{name}", 100, at_most=True) for name in PROCESSES),
)

REFERENCES: Mapping[str, str] = {
    "limits.send": "peer.send",
    "send.rate": "peer.send",
    "send.alone": "peer.send",
    "send.many": "peer.send",
    "relay.rate": "limits.publish",
    "matcher.mixed": "matcher.mixed.bare",
    "deliverer.rate": "limits.post",
    "deliverer.rate_retries": "deliverer.rate",
    "deliverer.rate_wide": "deliverer.rate",
    "pipeline.rate": "peer.drain",
    "isolation.rate_hanging": "isolation.rate",
    "isolation.latency_hanging.p99": "isolation.latency.p99",
    "isolation.latency_backlog.p99": "isolation.latency.p99",
    "whole.rate": "peer.whole",
    "cluster.3": "cluster.1",
    "growth.backlog.1000000": "growth.backlog.20000",
}
"""Which other figure of the same run a figure is shown as a multiple of."""


def machine(drained: float) -> Iterator[Row]:
    """Yield the machine's speed, on which the peer drained so many events a second."""
    speed = min(drained / PEER_DRAINS, 1.0)
    yield Row(SPEED, f"machine: its speed; 1 where the peer drains {PEER_DRAINS}", speed, "")
    yield Row(SLOWNESS, "machine: how many times as long all takes", 1 / speed, "")

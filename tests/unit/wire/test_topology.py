import pytest
from hypothesis import given
from hypothesis import strategies as st

from durian.wire.topology import LADDER, Topology, step_for


def test_every_name_bears_the_prefix() -> None:
    names = Topology("shop.")
    all_names = [names.events, names.public, *(queue.name for queue in names.queues())]
    assert all(name.startswith("shop.durian.") for name in all_names)
    assert len(set(all_names)) == len(all_names)


def test_two_sites_share_no_name() -> None:
    mine, others = (
        {names.events, names.public, *(queue.name for queue in names.queues())}
        for names in (Topology("a."), Topology("b."))
    )
    assert not mine & others


def test_every_queue_is_a_quorum_queue_and_a_replay_outlives_every_look() -> None:
    queues = {queue.name: queue.arguments for queue in Topology().queues()}
    assert {arguments["x-queue-type"] for arguments in queues.values()} == {"quorum"}
    assert queues[Topology().dead]["x-delivery-limit"] > 1_000_000_000
    assert "x-dead-letter-exchange" not in queues[Topology().dead]


@pytest.mark.parametrize("queue", [Topology().match, Topology().deliver])
def test_what_kills_its_process_ends_among_the_dead(queue: str) -> None:
    arguments = {one.name: one.arguments for one in Topology().queues()}[queue]
    assert arguments["x-delivery-limit"] == 50
    assert arguments["x-dead-letter-routing-key"] == Topology().dead
    # RabbitMQ keeps its promise of at-least-once with this overflow only.
    assert arguments["x-dead-letter-strategy"] == "at-least-once"
    assert arguments["x-overflow"] == "reject-publish"


@pytest.mark.parametrize("step", LADDER)
def test_every_step_of_the_ladder_leads_back_to_the_deliverers(step: float) -> None:
    names = Topology("a.")
    arguments = {one.name: one.arguments for one in names.queues()}[names.delay(step)]
    assert arguments["x-message-ttl"] == step * 1000
    assert arguments["x-dead-letter-routing-key"] == names.deliver
    assert arguments["x-dead-letter-strategy"] == "at-least-once"


@given(st.floats(0, 1e9))
def test_the_step_is_the_largest_that_is_not_too_long(delay: float) -> None:
    step = step_for(delay)
    assert step in LADDER
    assert step <= delay or step == LADDER[0]
    assert not any(step < other <= delay for other in LADDER)

"""What is said to the broker, against a channel that keeps account as RabbitMQ does."""

from hypothesis import given
from hypothesis import strategies as st

from durian.wire.acks import HELD_SECONDS, Ack, Acks

COUNT = 40
MOST = 5

orders = st.permutations(range(1, COUNT + 1))
pauses = st.lists(
    st.sampled_from([0.0, HELD_SECONDS / 3, HELD_SECONDS * 2]), min_size=COUNT, max_size=COUNT
)


class Channel:
    """The messages that a broker has delivered, and which of them are done with."""

    def __init__(self, count: int = COUNT) -> None:
        self.unacked = list(range(1, count + 1))
        self.done: set[int] = set()

    def take(self, ack: Ack) -> None:
        # RabbitMQ closes the channel for a tag that it does not wait for.
        assert ack.tag in self.unacked
        acked = [tag for tag in self.unacked if tag == ack.tag or (ack.multiple and tag < ack.tag)]
        assert self.done.issuperset(acked), "More is acked than is done with."
        self.unacked = [tag for tag in self.unacked if tag not in acked]

    @property
    def held(self) -> set[int]:
        return self.done.intersection(self.unacked)


@given(orders, pauses, st.integers(0, COUNT))
def test_what_is_done_with_is_acked_once_and_soon(
    order: list[int], pauses: list[float], most: int
) -> None:
    channel, acks, now, since = Channel(), Acks(most), 0.0, dict[int, float]()
    for tag, pause in zip(order, pauses, strict=True):
        acks.add(tag, now)
        channel.done.add(tag)
        since[tag], now = now, now + pause
        for ack in acks.due(now):
            channel.take(ack)
        assert len(channel.held) <= most
        assert all(now - since[held] < HELD_SECONDS for held in channel.held)
    for ack in acks.rest():
        channel.take(ack)
    assert not channel.unacked
    assert not list(acks.rest())


@given(orders, st.integers(0, COUNT))
def test_at_the_end_all_is_acked_that_is_done_with(order: list[int], done: int) -> None:
    channel, acks = Channel(), Acks(COUNT)
    for tag in order[:done]:
        acks.add(tag, 0.0)
        channel.done.add(tag)
    for ack in acks.rest():
        channel.take(ack)
    assert set(channel.unacked) == set(order[done:])


def test_what_is_done_with_in_one_go_leaves_in_one_frame() -> None:
    acks = Acks(COUNT)
    for tag in reversed(range(1, COUNT + 1)):
        acks.add(tag, 0.0)
    assert list(acks.due(0.0)) == [Ack(COUNT, multiple=True)]


def test_those_that_wait_for_an_older_one_leave_with_it() -> None:
    acks = Acks(COUNT)
    for tag in range(2, MOST + 1):
        acks.add(tag, 0.0)
    assert not list(acks.due(HELD_SECONDS / 2))
    acks.add(1, HELD_SECONDS / 2)
    assert list(acks.due(HELD_SECONDS / 2)) == [Ack(MOST, multiple=True)]


def test_behind_one_that_takes_long_the_oldest_are_acked_first() -> None:
    acks = Acks(COUNT)
    for tag in (4, 2, 3):
        acks.add(tag, 0.0)
    assert [ack.tag for ack in acks.due(HELD_SECONDS)] == [2, 3, 4]

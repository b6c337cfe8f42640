"""What is said to the broker, against a channel that keeps account as RabbitMQ does."""

from hypothesis import given
from hypothesis import strategies as st

from durian.wire.acks import HELD_SECONDS, PART, Ack, Acks

COUNT = 40

pauses = st.sampled_from([0.0, HELD_SECONDS / 3, HELD_SECONDS * 2])
steps = st.lists(st.tuples(st.integers(0, COUNT), st.booleans(), pauses), max_size=2 * COUNT)


class Channel:
    """The messages that a broker has delivered, and which of them are done with."""

    def __init__(self, places: int) -> None:
        self.acks = Acks(places)
        self._places = places
        self._delivered = 0
        self.unacked: list[int] = []
        self.done: dict[int, tuple[float, bool]] = {}
        self.now = 0.0

    def fill(self) -> None:
        """Deliver as many as there are places for."""
        while len(self.unacked) < self._places:
            self._delivered += 1
            self.unacked.append(self._delivered)
            self.acks.arrived(self._delivered)

    def finish(self, tag: int, hold: bool) -> None:
        self.done[tag] = self.now, hold
        self.acks.add(tag, self.now, hold)

    def take(self, ack: Ack) -> None:
        # RabbitMQ closes the channel for a tag that it does not wait for.
        assert ack.tag in self.unacked
        acked = [tag for tag in self.unacked if tag == ack.tag or (ack.multiple and tag < ack.tag)]
        assert self.done.keys() >= set(acked), "More is acked than is done with."
        self.unacked = [tag for tag in self.unacked if tag not in acked]

    def take_due(self) -> None:
        for ack in self.acks.due(self.now):
            self.take(ack)

    @property
    def undone(self) -> list[int]:
        return [tag for tag in self.unacked if tag not in self.done]

    @property
    def held(self) -> list[int]:
        return [tag for tag in self.unacked if tag in self.done]


@given(st.integers(1, COUNT), steps)
def test_what_is_done_with_is_acked_once_and_soon(
    places: int, steps: list[tuple[int, bool, float]]
) -> None:
    channel = Channel(places)
    for which, hold, pause in steps:
        channel.fill()
        if channel.undone:
            channel.finish(channel.undone[which % len(channel.undone)], hold)
        channel.now += pause
        channel.take_due()
        assert len(channel.held) <= (places - len(channel.undone)) // PART, "It starves."
        for tag in channel.held:
            since, may_wait = channel.done[tag]
            assert may_wait
            assert channel.now - since < HELD_SECONDS
    for ack in channel.acks.rest():
        channel.take(ack)
    assert not channel.held
    assert not list(channel.acks.rest())


def filled() -> Channel:
    channel = Channel(COUNT)
    channel.fill()
    return channel


def test_what_is_done_with_in_one_go_leaves_in_one_frame() -> None:
    channel = filled()
    for tag in reversed(range(1, COUNT + 1)):
        channel.finish(tag, hold=tag % 2 == 0)
    assert list(channel.acks.due(0.0)) == [Ack(COUNT, multiple=True)]


def test_those_that_wait_for_an_older_one_leave_with_it() -> None:
    channel = filled()
    for tag in (2, 4, 3):
        channel.finish(tag, hold=True)
    for places in range(5, COUNT):
        channel.finish(places, hold=False)
    channel.take_due()
    channel.now = HELD_SECONDS / 2
    channel.take_due()
    channel.finish(1, hold=True)
    assert list(channel.acks.due(channel.now)) == [Ack(4, multiple=True)]


def test_behind_one_that_takes_long_the_oldest_are_acked_first() -> None:
    channel = filled()
    for tag in (4, 2, 3):
        channel.finish(tag, hold=True)
    channel.now = HELD_SECONDS
    assert list(channel.acks.due(channel.now)) == [Ack(tag, multiple=False) for tag in (2, 3, 4)]


def test_what_may_not_wait_leaves_at_once() -> None:
    channel = filled()
    channel.finish(3, hold=False)
    assert list(channel.acks.due(0.0)) == [Ack(3, multiple=False)]

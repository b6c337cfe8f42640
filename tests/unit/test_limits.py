from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from deliverer.limits import FIRST_GUESS_SECONDS, LEAST_WAIT, Limits

JOE, JANE = 1, 2


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def limits(cap: int) -> tuple[Limits, Clock]:
    clock = Clock()
    return Limits(cap, clock), clock


def admit(limits: Limits, listener: int = JOE, rate: float = 0.0, reserved: bool = False) -> float:
    return limits.admit(listener, rate, reserved)


def test_up_to_the_cap_go_at_once_and_the_next_one_waits() -> None:
    share, _ = limits(cap=3)
    assert [admit(share) for _ in range(3)] == [0, 0, 0]
    assert admit(share) >= LEAST_WAIT


def test_one_that_is_full_keeps_nobody_else_waiting() -> None:
    share, _ = limits(cap=1)
    admit(share, JOE)
    assert admit(share, JOE) > 0
    assert admit(share, JANE) == 0


def test_who_ends_makes_room_for_one() -> None:
    share, _ = limits(cap=1)
    admit(share)
    share.release(JOE, 0.1)
    assert admit(share) == 0
    assert admit(share) > 0


def test_what_is_over_gets_one_moment_after_the_other() -> None:
    share, _ = limits(cap=2)
    admit(share), admit(share)
    moments = [admit(share) for _ in range(50)]
    assert moments == sorted(moments)
    spaced = [moment for moment in moments if moment > LEAST_WAIT]
    steps = [after - before for before, after in pairwise(spaced)]
    assert all(abs(step - FIRST_GUESS_SECONDS / 2) < 1e-6 for step in steps)


def test_a_slower_receiver_gives_longer_waits() -> None:
    waits = []
    for seconds in (0.1, 10.0):
        share, _ = limits(cap=1)
        admit(share)
        share.release(JOE, seconds)
        admit(share)
        waits.append([admit(share) for _ in range(10)][-1])
    assert waits[1] > 10 * waits[0]


def test_a_newcomer_does_not_overtake_those_in_line() -> None:
    share, _ = limits(cap=1)
    admit(share)
    waits = [admit(share) for _ in range(10)]
    share.release(JOE, 0.1)
    assert admit(share) > max(waits[:-1])


def test_who_has_waited_goes_when_there_is_room_and_waits_again_when_there_is_none() -> None:
    share, clock = limits(cap=1)
    admit(share)
    clock.now += admit(share)
    assert admit(share, reserved=True) > 0
    share.release(JOE, 0.1)
    assert admit(share, reserved=True) == 0


def test_once_the_line_is_gone_all_is_as_before() -> None:
    share, clock = limits(cap=1)
    admit(share)
    wait = [admit(share) for _ in range(10)][-1]
    share.release(JOE, 0.1)
    clock.now += wait + 1
    assert admit(share) == 0


@given(
    rate=st.floats(0.5, 50),
    gaps=st.lists(st.floats(0, 1), min_size=1, max_size=100),
)
def test_a_rate_is_kept_and_everything_waits_once_at_most(rate: float, gaps: list[float]) -> None:
    share, clock = limits(cap=1000)
    posted: list[float] = []
    parked: list[float] = []
    for gap in gaps:
        clock.now += gap
        wait = admit(share, rate=rate)
        (parked if wait else posted).append(clock.now + wait)
    for moment in sorted(parked):
        clock.now = max(clock.now, moment)
        assert admit(share, rate=rate, reserved=True) == 0
    moments = sorted(posted + parked)
    # A wait that is shorter than the shortest delay of the broker is rounded up to it.
    for first in moments:
        within = [moment for moment in moments if first <= moment < first + 1]
        assert len(within) <= rate * (1 + LEAST_WAIT) + 2

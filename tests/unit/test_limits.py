import time
from bisect import insort
from collections import deque
from functools import partial
from itertools import accumulate, pairwise
from math import inf
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from deliverer import shares
from deliverer.awake import ASLEEP_SECONDS
from deliverer.breaker import FAILURES, FIRST_WAIT, LONGEST_WAIT
from deliverer.limits import (
    AT_ONCE,
    BUSY,
    CROWD,
    CROWD_SECONDS,
    CROWDED,
    LEAST_WAIT,
    MANY,
    POSTS_PER_SECOND,
    REST_SECONDS,
    RETURNS_PER_SECOND,
    SWEEP_SECONDS,
    Limits,
)
from deliverer.share import (
    LINE_SECONDS,
    LONGEST_LINE_SECONDS,
    START,
    UNPROVEN_SECONDS,
    Pause,
    Share,
)
from durian.wire.topology import LADDER

JOE, JANE = 1, 2
PLENTY = 1_000_000
PLACES = 20
QUICK = 0.0001
"""Seconds of a receiver of which none has to wait for many."""


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Delivery:
    """What becomes of one: `went` says that its POST is under way, `pause` that it was parked."""

    def __init__(self, makes_its_post: bool = True) -> None:
        self.went = False
        self.pause: Pause | None = None
        self._makes_its_post = makes_its_post

    def go(self) -> bool:
        assert self.waits, "It went twice, or went and was parked."
        self.went = True
        return self._makes_its_post

    def park(self, pause: Pause) -> None:
        assert self.waits, "It was parked twice, or went and was parked."
        self.pause = pause

    @property
    def waits(self) -> bool:
        return not self.went and self.pause is None

    @property
    def wait(self) -> float:
        assert self.pause is not None
        return self.pause.seconds


class Desk:
    """Limits on a clock that stands still."""

    def __init__(self, total: int = PLENTY, cap: int = 10) -> None:
        self.clock = Clock()
        self.load = 0.0
        self.limits = Limits(total, cap, self.clock, lambda: self.load)

    def admit(self, listener: int = JOE, rate: float = 0.0, reserved: bool = False) -> Delivery:
        delivery = Delivery()
        self.limits.admit(listener, rate, reserved, delivery.go, delivery.park)
        return delivery

    def many(self, count: int, listener: int = JOE, rate: float = 0.0) -> list[Delivery]:
        return [self.admit(listener, rate) for _ in range(count)]

    def succeed(
        self, listener: int = JOE, times: int = 1, seconds: float = 0.1, own: float = 0.0
    ) -> None:
        """Let so many POSTs begin and succeed, one after the other."""
        for _ in range(times):
            assert self.admit(listener).went
            self.release(listener, seconds, own=own)

    def fail(self, listener: int = JOE, times: int = FAILURES) -> None:
        """Let so many POSTs begin and find nobody, one after the other."""
        for _ in range(times):
            assert self.admit(listener).went
            self.release(listener, 4.0, away=True)

    def release(
        self, listener: int = JOE, seconds: float = 0.1, *, own: float = 0.0, away: bool = False
    ) -> None:
        """Let one POST end that took so many `seconds`, `own` of them this process's."""
        self.limits.release(listener, seconds, seconds - own, away)

    def wait(self, seconds: float) -> None:
        """Let time pass, with the sweeps that there are meanwhile."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now = min(self.clock.now + SWEEP_SECONDS, until)
            self.limits.sweep()

    def parked(self, listener: int = JOE) -> Delivery:
        """Admit until one is parked, and return it."""
        while True:
            delivery = self.admit(listener)
            if delivery.pause:
                return delivery


def went(deliveries: list[Delivery]) -> int:
    return sum(one.went for one in deliveries)


def busy_desk(*listeners: int, cap: int = PLACES) -> Desk:
    """Return one at which PLACES are useful, and `listeners` have earned as many each."""
    desk = Desk(total=int(PLACES / BUSY), cap=cap)
    for listener in listeners:
        desk.succeed(listener, times=PLACES, seconds=QUICK)
    return desk


def test_up_to_the_cap_go_at_once() -> None:
    desk = Desk(cap=3)
    assert [one.went for one in desk.many(4)] == [True, True, True, False]


def test_who_is_new_begins_with_few_and_gets_more_by_successes() -> None:
    desk = Desk(cap=50)
    assert sum(one.went for one in desk.many(60, JANE)) == START
    desk.succeed(times=20)
    assert sum(one.went for one in desk.many(60)) == START + 20


def test_who_was_not_there_gets_fewer() -> None:
    desk = Desk(cap=50)
    desk.succeed(times=30)
    desk.fail(times=2)
    assert sum(one.went for one in desk.many(60)) == START + 30 // 4


def test_one_that_is_full_keeps_nobody_else_waiting() -> None:
    desk = Desk(cap=1)
    desk.admit(JOE)
    assert not desk.admit(JOE).went
    assert desk.admit(JANE).went


def test_what_is_over_waits_for_a_moment_in_its_order_and_goes_when_one_ends() -> None:
    desk = Desk(cap=1)
    desk.succeed(times=2)
    first, second, third = desk.many(3)
    assert (first.went, second.waits, third.waits) == (True, True, True)
    desk.release(JOE, 0.1)
    assert (second.went, third.waits) == (True, True)
    desk.release(JOE, 0.1)
    assert third.went


def test_who_is_new_and_alone_may_fill_the_process_with_its_line_for_a_moment() -> None:
    desk = Desk(total=1000, cap=50)
    deliveries = desk.many(1100)
    assert [one.went for one in deliveries] == [True] * START + [False] * (1100 - START)
    assert all(one.waits for one in deliveries[START:1000])
    assert all(one.pause for one in deliveries[1000:])
    desk.wait(UNPROVEN_SECONDS)
    assert all(one.pause for one in deliveries[START:])


def test_who_is_new_has_no_line_beside_many_others() -> None:
    desk = Desk(total=1000, cap=50)
    for other in range(100, 200):
        desk.admit(other)
    desk.limits.sweep()
    assert all(one.pause for one in desk.many(60)[START:])


def test_the_line_of_a_fast_receiver_may_be_long_and_that_of_a_slow_one_may_not() -> None:
    lengths = []
    for seconds in (0.01, 10.0):
        desk = Desk(cap=10)
        desk.succeed(times=500, seconds=seconds)
        lengths.append(sum(one.waits for one in desk.many(1000)))
    assert lengths[0] > 400
    assert lengths[1] <= 2


def test_whoever_waits_too_long_in_the_process_is_parked() -> None:
    desk = Desk(cap=1)
    desk.succeed(times=START)
    _, second = desk.many(2)
    desk.limits.sweep()
    assert second.waits
    desk.wait(LINE_SECONDS)
    assert second.wait >= LEAST_WAIT
    desk.release(JOE, 0.1)
    assert desk.admit().went


def overloaded(cap: int = PLENTY, load: float = 1.0) -> tuple[Desk, list[Delivery]]:
    """Return a desk at which PLACES are useful, and many that wait there for Joe."""
    desk = busy_desk(cap=cap)
    desk.load = load
    desk.succeed(times=8 * PLACES, seconds=QUICK)
    deliveries = desk.many(8 * PLACES)
    assert went(deliveries) == min(PLACES, cap)
    return desk, deliveries


def answering(desk: Desk, seconds: float) -> None:
    """Let time pass in which Joe answers each half a second; most of that is this process's."""
    for _ in range(int(seconds / 0.5)):
        desk.wait(0.5)
        desk.release(JOE, 0.5, own=0.5 - QUICK)


def test_whoever_waits_for_a_busy_process_is_not_parked() -> None:
    desk, deliveries = overloaded()
    answering(desk, 3 * LINE_SECONDS)
    assert not any(one.pause for one in deliveries)
    assert deliveries[-1].waits


def test_whoever_waits_for_those_before_it_in_a_busy_process_is_parked() -> None:
    desk, deliveries = overloaded(cap=PLACES - 1)
    answering(desk, LINE_SECONDS)
    assert not any(one.waits for one in deliveries)


def test_whoever_waits_for_connections_to_be_made_is_parked() -> None:
    # They are no receiver's time either, but the process has time enough.
    desk, deliveries = overloaded(load=0.5)
    answering(desk, LINE_SECONDS)
    assert not any(one.waits for one in deliveries)


def test_whoever_waits_beside_many_slow_receivers_is_parked() -> None:
    desk = busy_desk(JOE)
    desk.load = 1.0
    for slow in range(100, 120):
        desk.succeed(slow, times=PLACES, seconds=10.0)
        desk.many(PLACES, slow)
    deliveries = desk.many(PLACES)
    assert went(deliveries) == 1
    answering(desk, LINE_SECONDS)
    assert not any(one.waits for one in deliveries)


def test_whoever_waits_for_a_receiver_that_is_silent_is_parked() -> None:
    desk, deliveries = overloaded()
    desk.wait(LINE_SECONDS)
    assert not any(one.waits for one in deliveries)


def test_nobody_waits_for_a_busy_process_for_ever() -> None:
    desk, deliveries = overloaded()
    answering(desk, LONGEST_LINE_SECONDS - 1)
    assert not any(one.pause for one in deliveries)
    answering(desk, 1.0)
    assert not any(one.waits for one in deliveries)


def test_nobody_gets_in_line_of_who_is_silent_but_waits_twice_as_long_in_one_rest() -> None:
    desk = Desk(cap=2)
    desk.succeed(times=START, seconds=0.1)
    desk.many(2)
    desk.wait(LINE_SECONDS)
    in_line = desk.admit()
    desk.wait(SWEEP_SECONDS)
    waits = [one.wait for one in desk.many(5)]
    assert min(waits) >= 2 * (LINE_SECONDS + SWEEP_SECONDS)
    assert set(waits) <= set(LADDER)
    assert in_line.waits
    desk.release(JOE, 2.3)
    assert in_line.went
    assert desk.admit().waits


def test_a_receiver_that_takes_its_time_is_not_silent() -> None:
    desk = Desk(cap=4)
    desk.succeed(times=START, seconds=5.0)
    desk.many(4)
    desk.wait(5.0 + LINE_SECONDS)
    assert desk.admit().waits


def test_who_waits_for_a_receiver_that_takes_its_time_rests_no_longer_for_that() -> None:
    desk = Desk(cap=100)
    desk.succeed(times=START, seconds=5.0)
    desk.many(2 * START)
    in_line = desk.many(3)
    desk.wait(LINE_SECONDS)
    assert max(one.wait for one in in_line) <= LEAST_WAIT + 0.1


def test_what_the_process_slept_through_tells_nothing_of_the_receiver() -> None:
    desk = Desk(total=100, cap=50)
    desk.succeed(times=START)
    before = desk.many(FAILURES + 2)
    assert all(one.went for one in before)
    desk.clock.now += ASLEEP_SECONDS + 20.0
    for _ in range(FAILURES):
        desk.release(JOE, 20.0, away=True)
    desk.release(JOE, 20.0)
    # Nobody counts as away, nothing that was earned is lost, and the line is as short as before.
    assert sum(one.went for one in desk.many(60)) == 2 * START - 1
    assert desk.admit().waits
    assert desk.parked().wait == LEAST_WAIT


def test_what_ends_after_the_sleep_counts_again() -> None:
    desk = Desk()
    desk.clock.now += ASLEEP_SECONDS + 20.0
    desk.limits.sweep()
    desk.wait(4.0)
    desk.fail()
    assert desk.admit().pause


def test_who_sleeps_now_and_then_finds_out_who_is_away_all_the_same() -> None:
    desk = Desk()
    for _ in range(FAILURES):
        assert desk.admit().went
        desk.clock.now += ASLEEP_SECONDS + 0.1
        desk.limits.sweep()
        desk.wait(3.0)
        desk.release(JOE, ASLEEP_SECONDS + 3.1, away=True)
    assert desk.admit().pause


def test_a_post_that_could_not_be_made_lets_the_next_one_go() -> None:
    desk = Desk(cap=1)
    desk.succeed(times=START)
    desk.admit()
    broken, fine = Delivery(makes_its_post=False), Delivery()
    for one in (broken, fine):
        desk.limits.admit(JOE, 0.0, False, one.go, one.park)
    desk.release(JOE, 0.1)
    assert (broken.went, fine.went) == (True, True)


@pytest.mark.parametrize(
    ("seconds", "part"), [(QUICK, BUSY), (0.01, 0.01 * POSTS_PER_SECOND / 1000), (10.0, CROWDED)]
)
def test_however_many_hang_something_is_left(seconds: float, part: float) -> None:
    desk = Desk(total=1000, cap=100)
    for listener in range(100):
        desk.succeed(listener, times=100, seconds=seconds)
    hanging = sum(one.went for who in range(99) for one in desk.many(100, who))
    # And an equal part of what is useful, or one, for each of those that were too late for more.
    assert 1000 * part <= hanging <= 1000 * part + 99 * max(10 * part, 1)
    first, second = desk.many(2, 99)
    assert (first.went, second.waits) == (True, True)
    desk.release(99, 0.01)
    assert second.went


def test_who_comes_later_gets_an_equal_part() -> None:
    desk = busy_desk(JOE, JANE)
    joes, janes = desk.many(5 * PLACES, JOE), desk.many(5 * PLACES, JANE)
    assert (went(joes), went(janes)) == (PLACES, PLACES // 2)


def test_who_had_all_places_before_the_others_came_shares_them() -> None:
    desk = busy_desk(JOE, JANE, 3, 4)
    joes, janes = desk.many(5 * PLACES, JOE), desk.many(5 * PLACES, JANE)
    assert (went(joes), went(janes)) == (PLACES, PLACES // 4)
    under_way = deque([JOE] * went(joes) + [JANE] * went(janes))
    for _ in range(3 * PLACES):
        # All take the same time: the oldest ends.
        before = went(joes), went(janes)
        desk.release(under_way.popleft(), QUICK)
        under_way += [JOE] * (went(joes) - before[0]) + [JANE] * (went(janes) - before[1])
    assert abs(under_way.count(JOE) - under_way.count(JANE)) <= 2


def test_a_place_is_not_for_one_that_is_silent() -> None:
    desk = busy_desk(JOE, JANE)
    joes, janes = desk.many(5 * PLACES, JOE), desk.many(5 * PLACES, JANE)
    before = went(janes)
    desk.clock.now += UNPROVEN_SECONDS * 1.5
    for _ in range(2 * PLACES):
        desk.release(JOE, QUICK)
    assert went(janes) == before
    assert went(joes) > 2 * PLACES


def test_a_deliverer_for_many_slow_receivers_has_no_more_under_way_to_fast_ones() -> None:
    desk = Desk(total=100 * MANY, cap=PLENTY)
    desk.succeed(times=2 * MANY, seconds=QUICK)
    assert went(desk.many(2 * MANY)) == MANY


def test_a_process_that_is_slow_does_not_take_its_receivers_for_slow() -> None:
    desk = Desk(total=1600, cap=1000)
    desk.succeed(times=1000, seconds=QUICK)
    desk.succeed(times=1000, seconds=0.5)
    assert went(desk.many(1000)) == 1600 * BUSY


@pytest.mark.parametrize("known", [True, False])
def test_a_process_that_stays_busy_has_no_more_under_way_for_that(known: bool) -> None:
    listeners = range(PLACES // 2)
    desk = busy_desk(*(listeners if known else []), cap=PLENTY)
    under_way: deque[tuple[int, float]] = deque()

    def go(listener: int) -> bool:
        under_way.append((listener, desk.clock.now))
        return True

    most = 0
    for _ in range(3000):
        for listener in listeners:
            desk.limits.admit(listener, 0.0, False, partial(go, listener), lambda pause: None)
        most = max(most, len(under_way))
        desk.wait(0.02)  # It ends 50 a second, one after the other.
        listener, began = under_way.popleft()
        seconds = desk.clock.now - began
        desk.release(listener, seconds, own=seconds)
    assert PLACES <= most <= PLACES + len(listeners)


def test_a_process_that_begins_busily_takes_no_receiver_for_slow_for_that() -> None:
    desk = Desk(total=1600, cap=1000)
    for own in (20.0, 19.0, 18.0):
        desk.succeed(seconds=own + QUICK, own=own)
        desk.wait(60.0)
    desk.succeed(times=1000, seconds=18.0 + QUICK, own=18.0)
    assert went(desk.many(1000)) == 1600 * BUSY


def test_one_slow_answer_after_many_quick_ones_does_not_count() -> None:
    desk = Desk(total=1600, cap=1000)
    desk.succeed(times=1000, seconds=QUICK)
    for _ in range(60):
        desk.wait(1.0)
        desk.succeed(seconds=QUICK)
    desk.succeed(seconds=4.0)
    assert went(desk.many(1000)) == 1600 * BUSY


@pytest.mark.parametrize("total", [1, 3, 15])
def test_the_smallest_deliverer_makes_a_post_too(total: int) -> None:
    assert Desk(total=total).admit().went


def test_one_that_has_all_it_may_have_keeps_nobody_elses_turn() -> None:
    desk = busy_desk(JOE, JANE, 3, 4, cap=PLACES // 2)
    # Joe, first in line, has his cap, and the third one the rest.
    joes, thirds = desk.many(PLACES, JOE), desk.many(PLACES // 2, 3)
    janes = desk.many(PLACES, JANE)
    before = went(janes)
    for _ in range(len(thirds)):
        desk.release(3, QUICK)
    assert went(joes) == PLACES // 2
    assert went(janes) > before


def test_one_that_had_all_it_may_have_gets_its_turn_again() -> None:
    desk = busy_desk(JOE, JANE, 3, 4, cap=PLACES // 2)
    joes, thirds, janes = desk.many(PLACES, JOE), desk.many(PLACES // 2, 3), desk.many(PLACES, JANE)
    for listener in (3, JOE, *[3] * 5):
        desk.release(listener, QUICK)
    assert (went(joes), went(thirds)) == (PLACES // 2 + 1, PLACES // 2)
    assert went(janes) == PLACES // 4 + 1


def test_a_place_of_one_for_whom_nothing_waits_goes_to_the_others() -> None:
    desk = busy_desk(JOE, *range(100, 100 + PLACES))
    for listener in range(100, 100 + PLACES):
        assert desk.admit(listener).went
    joes = desk.many(PLACES, JOE)
    assert went(joes) == 1
    for ended in range(1, PLACES):
        desk.release(99 + ended, QUICK)
        assert went(joes) == ended


def test_who_has_none_under_way_need_not_wait_for_its_turn() -> None:
    desk = busy_desk(JOE, *range(100, 100 + 2 * PLACES), cap=2 * PLACES)
    desk.many(5 * PLACES, JOE)
    desk.many(5 * PLACES, 100)
    first, second = desk.many(2, 101)
    for listener in (JOE, JOE, 101):
        desk.release(listener, QUICK)
    assert (first.went, second.went) == (True, True)


def test_a_receiver_that_stays_slow_gets_as_many_at_once_as_that_takes() -> None:
    desk = Desk(total=1600, cap=1000)
    desk.succeed(times=1000, seconds=QUICK)
    for _ in range(60):
        desk.wait(1.0)
        desk.succeed(seconds=0.5)
    assert went(desk.many(1000)) > 5 * 1600 * BUSY


def test_what_is_parked_gets_one_moment_after_the_other() -> None:
    desk = Desk(cap=2)
    desk.parked()
    moments = [desk.parked().wait for _ in range(50)]
    assert moments == sorted(moments)
    spaced = [moment for moment in moments if moment > LEAST_WAIT]
    steps = [after - before for before, after in pairwise(spaced)]
    assert max(steps) - min(steps) < 1e-6


def test_a_slower_receiver_gives_longer_waits() -> None:
    waits = []
    for seconds in (0.1, 10.0):
        desk = Desk(cap=1)
        desk.succeed(seconds=seconds)
        desk.parked()
        waits.append([desk.admit() for _ in range(10)][-1].wait)
    assert waits[1] > 5 * waits[0]


def test_while_some_are_parked_a_newcomer_gets_in_line_behind_them() -> None:
    desk = Desk(cap=1)
    desk.succeed(times=START)
    wait = desk.parked().wait
    for _ in range(START + 1):
        desk.release(JOE, 0.1)
        desk.admit(reserved=True)
    assert desk.admit().wait > wait


def test_room_that_is_free_is_taken_though_some_are_parked() -> None:
    desk = Desk(cap=1)
    desk.succeed(times=START)
    admitted = 0
    while not desk.admit().pause:
        admitted += 1
    for _ in range(admitted):
        desk.release(JOE, 0.1)
    assert desk.admit().went


def test_who_has_waited_for_its_moment_waits_a_moment_more_in_the_process() -> None:
    desk = Desk(cap=1)
    desk.succeed(times=START)
    desk.wait(desk.parked().wait + LINE_SECONDS)
    desk.release(JOE, 0.1)
    returning = [desk.admit(reserved=True) for _ in range(3)]
    assert [one.went for one in returning] == [True, False, False]
    assert all(one.pause is None for one in returning)


def test_a_line_made_when_the_receiver_was_slow_is_short_when_it_is_fast() -> None:
    desk = Desk(cap=1)
    desk.succeed(times=20, seconds=10.0)
    long = desk.parked().wait + [desk.admit() for _ in range(100)][-1].wait
    assert long > 900
    desk.release(JOE, QUICK)
    desk.succeed(times=600, seconds=QUICK)
    desk.wait(1.0)
    held = desk.many(3)
    assert [one.went for one in held] == [True, False, False]
    assert all(one.pause is None for one in held)


@given(
    rate=st.floats(0.5, 50),
    gaps=st.lists(st.floats(0, 1), min_size=1, max_size=100),
)
def test_a_rate_is_kept_and_everything_waits_once_at_most(rate: float, gaps: list[float]) -> None:
    desk = Desk(cap=1000)
    desk.succeed(times=1000, seconds=0.0)
    moments: list[float] = []
    coming = [(desk.clock.now + after, False) for after in accumulate(gaps)]
    while coming:
        desk.clock.now, reserved = coming.pop(0)
        delivery = desk.admit(rate=rate, reserved=reserved)
        if delivery.went:
            moments.append(desk.clock.now)
        else:
            assert not reserved
            insort(coming, (desk.clock.now + delivery.wait, True))
    # A wait that is shorter than the shortest delay of the broker is rounded up to it.
    for first in moments:
        within = [moment for moment in moments if first <= moment < first + 1]
        assert len(within) <= rate * (1 + LEAST_WAIT) + 2


@given(rate=st.floats(0.5, 50), late=st.floats(0, 30))
@settings(max_examples=30)
def test_a_rate_is_kept_though_another_process_gave_away_the_same_moments(
    rate: float, late: float
) -> None:
    desk = Desk(cap=1000)
    desk.succeed(times=1000, seconds=0.0)
    began = desk.clock.now
    # What an earlier process has parked comes back at its rate, some of it at once, and as much is
    # new.
    others = [began + max(number / rate, late) for number in range(int(60 * rate))]
    back = [(moment, True) for moment in others]
    coming = sorted(back + [(began + number / rate, False) for number in range(int(60 * rate))])
    posted = []
    while coming and coming[0][0] < began + 60:
        moment, reserved = coming.pop(0)
        desk.clock.now = max(desk.clock.now, moment)
        delivery = desk.admit(rate=rate, reserved=reserved)
        if delivery.went:
            posted.append(desk.clock.now)
            desk.release(seconds=0.0)
        else:
            insort(coming, (desk.clock.now + delivery.wait, True))
    for first in posted:
        within = [moment for moment in posted if first <= moment < first + 10]
        assert len(within) <= rate * (10 + CROWD_SECONDS) + CROWD + 2
    assert 60 * rate * 0.9 - 2 <= len(posted) <= rate * (60 + CROWD_SECONDS) + CROWD + 2


def test_several_deliverers_keep_a_rate_together_and_lose_little_of_it() -> None:
    clock, chance, rate, count = Clock(), Random(1), 2.0, 400
    desks = [Limits(PLENTY, 1000, clock) for _ in range(4)]
    for desk in desks:
        desk.count(len(desks))
    # What one has reserved comes back to any.
    coming, posted = [(clock.now, False)] * count, list[float]()
    while coming:
        moment, reserved = coming.pop(0)
        clock.now = max(clock.now, moment)
        desk, delivery = chance.choice(desks), Delivery()
        desk.admit(JOE, rate, reserved, delivery.go, delivery.park)
        if delivery.went:
            posted.append(clock.now)
            desk.release(JOE, 0.0, 0.0, False)
        else:
            insort(coming, (clock.now + delivery.wait, True))
    assert 0.87 * rate <= count / (posted[-1] - posted[0]) <= 1.05 * rate


def test_a_rate_is_divided_among_the_deliverers() -> None:
    waits = []
    for deliverers in (1, 4):
        desk = Desk(cap=1000)
        desk.limits.count(deliverers)
        waits.append(desk.many(5, rate=2.0)[-1].wait)
    assert waits == [2.0, 8.0]


def test_a_rate_that_was_raised_shortens_the_line() -> None:
    desk = Desk(cap=1000)
    assert desk.many(100, rate=0.1)[-1].wait > 900
    assert desk.admit(rate=100.0).wait < 2


def test_who_is_away_is_not_called_and_nobody_else_is_kept() -> None:
    desk = Desk()
    desk.fail(JOE)
    held = desk.many(20, JOE)
    assert all(one.pause and one.pause.away for one in held)
    assert min(one.wait for one in held) >= FIRST_WAIT
    assert desk.admit(JANE).went


def test_one_at_a_time_finds_out_whether_the_receiver_is_back() -> None:
    desk = Desk()
    desk.fail()
    desk.wait(FIRST_WAIT)
    probe, *others = desk.many(10)
    assert probe.went
    assert all(one.pause and one.pause.away for one in others)
    desk.release(JOE, 4.0, away=True)
    assert desk.admit().pause
    desk.wait(2 * FIRST_WAIT)
    assert desk.admit().went
    desk.release(JOE, 0.1)
    assert desk.admit().went


def test_who_waits_in_the_process_when_the_receiver_goes_away_is_parked() -> None:
    desk = Desk(cap=FAILURES)
    desk.succeed(times=START)
    deliveries = desk.many(2 * FAILURES)
    for _ in range(FAILURES - 1):
        desk.release(JOE, 4.0, away=True)
    assert deliveries[-1].waits
    desk.release(JOE, 4.0, away=True)
    desk.limits.sweep()
    assert all(one.went or (one.pause and one.pause.away) for one in deliveries)
    assert desk.admit().pause


def test_a_sweep_that_parks_many_rests_in_between_for_everybody_elses() -> None:
    desk, parked_at = Desk(cap=FAILURES), list[float]()
    desk.succeed(times=START)
    for _ in range(2 * FAILURES + AT_ONCE):
        desk.limits.admit(
            JOE,
            0.0,
            reserved=False,
            go=lambda: True,
            park=lambda pause: parked_at.append(time.monotonic()),
        )
    for _ in range(FAILURES):
        desk.release(JOE, 4.0, away=True)
    desk.limits.sweep()
    assert parked_at[AT_ONCE] - parked_at[AT_ONCE - 1] >= REST_SECONDS


def test_of_those_held_for_all_who_are_away_few_come_back_soon() -> None:
    desk = Desk()
    for listener in range(20):
        desk.fail(listener)
    waits = sorted(desk.admit(who).wait for _ in range(200) for who in range(20))
    assert all(number < RETURNS_PER_SECOND * wait for number, wait in enumerate(waits))
    # However long, each wait is one rest in the broker.
    assert set(waits) <= set(LADDER)


def test_what_is_held_for_one_who_is_away_keeps_nobody_waiting_for_another() -> None:
    desk = Desk()
    desk.fail(JOE)
    desk.many(20_000, JOE)
    desk.fail(JANE)
    assert desk.admit(JANE).wait == 8
    assert desk.admit(JOE).wait >= 20_000 / RETURNS_PER_SECOND


def test_who_is_away_no_more_leaves_its_part_to_the_others() -> None:
    desk = Desk()
    for listener in range(20):
        desk.fail(listener)
        desk.admit(listener)
    desk.wait(1)
    desk.limits.sweep()
    waits = [one.wait for one in desk.many(1000, JOE)]
    assert max(waits) <= 16


class Crowd(RuleBasedStateMachine):
    """Deliveries to a few listeners that come, go, end in one way or the other, and wait."""

    TOTAL, CAP, LISTENERS = 200, 20, 4

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(self.TOTAL, self.CAP)
        self.under_way: dict[int, list[Delivery]] = {who: [] for who in range(self.LISTENERS)}
        self.waiting: dict[int, list[tuple[float, Delivery]]] = {
            who: [] for who in range(self.LISTENERS)
        }
        self.answered = dict.fromkeys(range(self.LISTENERS), -inf)

    who = st.integers(0, LISTENERS - 1)

    @rule(who=who, count=st.integers(1, 30), rate=st.sampled_from([0.0, 5.0]), again=st.booleans())
    def some_arrive(self, who: int, count: int, rate: float, again: bool) -> None:
        for _ in range(count):
            delivery = self.desk.admit(who, rate, again)
            self.waiting[who].append((self.desk.clock.now, delivery))
        self._sort()

    @precondition(lambda self: any(self.under_way.values()))
    @rule(data=st.data(), away=st.booleans(), seconds=st.floats(0, 30))
    def one_ends(self, data: st.DataObject, away: bool, seconds: float) -> None:
        who = data.draw(st.sampled_from([who for who in self.under_way if self.under_way[who]]))
        self.under_way[who].pop()
        own = data.draw(st.floats(0, seconds))
        self.desk.release(who, seconds, own=own, away=away)
        if not away:
            self.answered[who] = self.desk.clock.now
        self._sort()

    @rule(who=who)
    def all_of_one_find_nobody(self, who: int) -> None:
        while self.under_way[who]:
            self.under_way[who].pop()
            self.desk.release(who, 4.0, away=True)
        self._sort()

    @rule(seconds=st.floats(0, 10), load=st.sampled_from([0.1, 1.0]))
    def time_passes(self, seconds: float, load: float) -> None:
        self.desk.load = load
        self.desk.wait(seconds)
        self._sort()
        now = self.desk.clock.now
        for who, waiting in self.waiting.items():
            answers = self.answered[who] > now - LINE_SECONDS
            longest = LONGEST_LINE_SECONDS if answers and load == 1.0 else LINE_SECONDS
            assert all(now - since <= longest for since, _ in waiting)

    def _sort(self) -> None:
        for who, waiting in self.waiting.items():
            self.under_way[who] += [one for _, one in waiting if one.went]
            self.waiting[who] = [pair for pair in waiting if pair[1].waits]
            for _, one in waiting:
                assert not one.pause or one.pause.seconds >= LEAST_WAIT
                assert not one.pause or not one.pause.away or one.pause.seconds >= FIRST_WAIT

    @invariant()
    def nobody_has_more_than_the_cap(self) -> None:
        assert all(len(under_way) <= self.CAP for under_way in self.under_way.values())

    @invariant()
    def something_is_left(self) -> None:
        assert sum(map(len, self.under_way.values())) < self.TOTAL

    @invariant()
    def who_waits_has_one_under_way_to_wait_for(self) -> None:
        for who, waiting in self.waiting.items():
            assert not waiting or self.under_way[who] or self._is_away(who)

    def _is_away(self, who: int) -> bool:
        # The next sweep parks them.
        return bool(self.desk.admit(who, reserved=True).pause)

    def teardown(self) -> None:
        """Whatever was, once all have ended and the receivers are back, everybody goes at once."""
        for who, under_way in self.under_way.items():
            while under_way:
                under_way.pop()
                self.desk.release(who, 0.01)
                self._sort()
            self.desk.wait(LONGEST_WAIT + LINE_SECONDS)
            assert self.desk.admit(who).went


TestCrowd = settings(max_examples=50, stateful_step_count=40)(Crowd).TestCase


def test_where_nobody_can_be_forgotten_each_newcomer_does_not_ask_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Share] = []
    idle = Share.idle

    def counting(share: Share, now: float) -> bool:
        asked.append(share)
        return idle(share, now)

    monkeypatch.setattr(shares, "MAX_KEPT", 10)
    monkeypatch.setattr(Share, "idle", counting)
    desk = Desk()
    for listener in range(1000):
        assert desk.admit(listener).went
    assert len(asked) < 2000

from itertools import pairwise
from math import inf

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from requests import Response

from deliverer.breaker import (
    FAILURES,
    FIRST_WAIT,
    LONGEST_ASKED,
    LONGEST_SPREAD,
    LONGEST_WAIT,
    Breaker,
    is_away,
)
from durian.errors import (
    AddressRefused,
    ConnectionFailed,
    DeadlineExceeded,
    DeliveryError,
    InvalidAnswer,
    TLSFailed,
)

NOW = 1000.0


def opened(at: float = NOW) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(at)
    return breaker


def answer(status: int) -> Response:
    response = Response()
    response.status_code = status
    return response


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_answers_of_who_is_away(status: int) -> None:
    assert is_away(answer(status))


@pytest.mark.parametrize("status", [200, 204, 301, 400, 404, 410, 500, 501])
def test_answers_of_who_is_there(status: int) -> None:
    assert not is_away(answer(status))


@pytest.mark.parametrize("kind", [ConnectionFailed, DeadlineExceeded, TLSFailed, InvalidAnswer])
def test_who_gives_no_answer_is_away(kind: type[DeliveryError]) -> None:
    assert is_away(kind("no answer"))


def test_who_must_not_be_called_is_not_away() -> None:
    assert not is_away(AddressRefused("10.0.0.1 is private"))


def test_it_opens_by_failures_in_a_row_and_says_so_once() -> None:
    breaker = Breaker()
    told = [breaker.failed(NOW) for _ in range(FAILURES + 3)]
    assert told == [False] * (FAILURES - 1) + [True] + [False] * 3
    assert breaker.is_open


def test_a_success_in_between_begins_the_count_anew() -> None:
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.failed(NOW)
    assert breaker.succeeded(NOW) == 0
    for _ in range(FAILURES - 1):
        breaker.failed(NOW)
    assert not breaker.is_open


def test_those_that_were_under_way_when_it_opened_put_the_probe_off_no_further() -> None:
    breaker = opened()
    for _ in range(100):
        breaker.failed(NOW + FIRST_WAIT / 2)
    assert breaker.probe_at == NOW + FIRST_WAIT


def test_each_probe_that_fails_doubles_the_wait_up_to_a_bound() -> None:
    breaker, waits = opened(), []
    for _ in range(12):
        now = breaker.probe_at
        breaker.failed(now)
        waits.append(breaker.probe_at - now)
    assert waits[:3] == [2 * FIRST_WAIT, 4 * FIRST_WAIT, 8 * FIRST_WAIT]
    assert waits[-1] == LONGEST_WAIT


def test_who_asks_to_be_left_alone_is_for_as_long_within_reason() -> None:
    breaker = opened()
    for asked, wait in [(60, 60), (1, 4 * FIRST_WAIT), (float("inf"), LONGEST_ASKED), (0, 80)]:
        now = breaker.probe_at
        breaker.failed(now, asked)
        assert breaker.probe_at - now == wait


def test_the_answer_that_opens_it_says_when_to_look() -> None:
    breaker = Breaker()
    for asked in (500, 500, 500, 500, 100):
        breaker.failed(NOW, asked)
    assert breaker.probe_at == NOW + 100


def test_a_success_closes_it_and_it_says_for_how_long_it_was_open() -> None:
    breaker = opened()
    assert breaker.succeeded(NOW + 70) == 70
    assert not breaker.is_open
    assert breaker.succeeded(NOW + 80) == 0


def test_opened_again_it_begins_with_the_first_wait() -> None:
    breaker = opened()
    for _ in range(5):
        breaker.failed(breaker.probe_at)
    breaker.succeeded(NOW + 500)
    for _ in range(FAILURES):
        breaker.failed(NOW + 600)
    assert breaker.probe_at == NOW + 600 + FIRST_WAIT


def test_who_has_not_been_asked_for_hours_is_forgotten() -> None:
    breaker = Breaker()
    assert breaker.is_forgotten(0.0)
    for _ in range(FAILURES):
        breaker.failed(100.0)
    assert not breaker.is_forgotten(100.0 + LONGEST_SPREAD)
    assert breaker.is_forgotten(100.0 + LONGEST_SPREAD + 2 * LONGEST_WAIT)


def test_what_is_held_comes_back_over_as_long_again_as_the_receiver_has_been_away() -> None:
    breaker = opened()
    now = NOW + 100
    moments = sorted(breaker.hold(now, 0.0) for _ in range(100))
    assert moments[0] >= FIRST_WAIT
    assert moments[-1] <= FIRST_WAIT + 100
    # Spread evenly: no gap is much wider than the others.
    assert max(after - before for before, after in pairwise(moments)) < 3


def test_those_that_come_back_keep_their_distance() -> None:
    breaker = opened()
    moments = [breaker.hold(NOW, 0.5) for _ in range(100)]
    assert [after - before for before, after in pairwise(moments)] == [0.5] * 99
    assert breaker.is_crowded(NOW + 49)
    assert not breaker.is_crowded(NOW + 51)


def test_who_is_away_anew_waits_for_nothing_of_before() -> None:
    breaker = opened()
    for _ in range(100):
        breaker.hold(NOW, 10.0)
    breaker.succeeded(NOW + 60)
    for _ in range(FAILURES):
        breaker.failed(NOW + 60)
    assert breaker.hold(NOW + 60, 10.0) == FIRST_WAIT + 10


def test_it_knows_for_how_long_nobody_has_answered() -> None:
    breaker = opened()
    assert breaker.silence(NOW + 10) == inf
    breaker.succeeded(NOW + 20)
    breaker.failed(NOW + 30)
    assert breaker.silence(NOW + 50) == 30


class Breaking(RuleBasedStateMachine):
    """A breaker through failures, successes and time, beside a plain count of failures."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.breaker = Breaker()
        self.in_a_row = 0
        self.opened_at = NOW

    @rule(seconds=st.floats(0, 2000))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_post_fails(self) -> None:
        was_open, before = self.breaker.is_open, self.breaker.probe_at
        told = self.breaker.failed(self.now)
        self.in_a_row += 1
        assert told == (not was_open and self.breaker.is_open)
        if told:
            self.opened_at = self.now
        if was_open and self.now < before:
            assert self.breaker.probe_at == before

    @rule()
    def a_post_succeeds(self) -> None:
        was_open = self.breaker.is_open
        away = self.breaker.succeeded(self.now)
        assert away == (self.now - self.opened_at if was_open else 0)
        self.in_a_row = 0

    @rule()
    def one_is_held(self) -> None:
        if self.breaker.is_open:
            wait = self.breaker.hold(self.now, 0.0)
            assert wait >= max(FIRST_WAIT, self.breaker.probe_at - self.now)
            away = self.now - self.opened_at
            assert wait <= LONGEST_WAIT + min(away, LONGEST_SPREAD)

    @invariant()
    def it_is_open_after_failures_in_a_row(self) -> None:
        assert self.breaker.is_open == (self.in_a_row >= FAILURES)

    @invariant()
    def a_probe_is_never_far(self) -> None:
        if self.breaker.is_open:
            assert self.breaker.probe_at <= self.now + LONGEST_WAIT


TestBreaking = Breaking.TestCase

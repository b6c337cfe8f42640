"""When the next attempt is made, and when there is none."""

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity.stop import stop_after_delay, stop_before_delay, stop_never
from tenacity.wait import wait_exponential, wait_fixed

from durian.errors import ConfigurationError
from durian.policy import (
    DEFAULT_POLICY,
    MAX_DELAY,
    MAX_RETRY_AFTER,
    NO_RETRY,
    RetryPolicy,
    parse_retry_after,
    wait_jittered,
)

DEFAULT_DELAYS = (5, 300, 1800, 7200, 18000, 36000, 36000)


def delays(policy: RetryPolicy, limit: int = 20) -> list[float]:
    """Return what the policy waits after each attempt until it gives up."""
    found: list[float] = []
    for attempt in range(1, limit + 1):
        delay = policy.delay(attempt, first_at=0, now=0)
        if delay is None:
            return found
        found.append(delay)
    return found


def test_a_schedule_waits_for_each_delay_in_turn_and_gives_up() -> None:
    assert delays(RetryPolicy.schedule((5, 300, 1800), jitter=0)) == [5, 300, 1800]


def test_the_default_makes_eight_attempts_within_a_fifth_of_its_delays() -> None:
    found = delays(DEFAULT_POLICY)
    assert len(found) == len(DEFAULT_DELAYS)
    for delay, nominal in zip(found, DEFAULT_DELAYS, strict=True):
        assert 0.8 * nominal <= delay <= 1.2 * nominal


def test_the_default_does_not_call_all_receivers_at_the_same_moment() -> None:
    assert len({DEFAULT_POLICY.delay(1, 0, 0) for _ in range(20)}) > 1


@pytest.mark.parametrize(("draw", "expected"), [(min, 80.0), (max, 120.0)])
def test_jitter_is_a_fraction_of_the_delay(draw: Any, expected: float) -> None:
    policy = RetryPolicy.schedule((100,), jitter=0.2, uniform=draw)
    assert policy.delay(1, 0, 0) == pytest.approx(expected)


def test_jitter_can_be_put_around_any_wait_of_tenacity() -> None:
    policy = RetryPolicy(wait_jittered(wait_exponential(multiplier=10), 0.5, max), stop_never)
    assert [policy.delay(attempt, 0, 0) for attempt in (1, 2, 3)] == [15, 30, 60]


def test_no_retry_gives_up_at_once_however_many_are_asked_for() -> None:
    assert NO_RETRY.delay(1, 0, 0) is None
    assert NO_RETRY.limited(5).delay(1, 0, 0) is None


@given(st.lists(st.floats(0, MAX_DELAY), min_size=1, max_size=10), st.integers(0, 30))
def test_limited_makes_exactly_that_many_retries_and_repeats_the_last_delay(
    schedule: list[float], max_retries: int
) -> None:
    found = delays(RetryPolicy.schedule(schedule, jitter=0).limited(max_retries), limit=40)
    repeated = schedule + [schedule[-1]] * max_retries
    assert found == repeated[:max_retries]


def test_limited_keeps_a_limit_of_time() -> None:
    policy = RetryPolicy(wait_fixed(10), stop_after_delay(100)).limited(3)
    assert policy.delay(3, first_at=0, now=99) == 10
    assert policy.delay(4, first_at=0, now=99) is None
    assert policy.delay(1, first_at=0, now=100) is None


def test_time_limits_count_from_the_first_attempt() -> None:
    policy = RetryPolicy(wait_exponential(multiplier=2), stop_after_delay(60))
    assert policy.delay(3, first_at=1000.0, now=1059.0) == 8
    assert policy.delay(3, first_at=1000.0, now=1060.0) is None


def test_a_limit_on_the_next_attempt_sees_the_wait_that_leads_to_it() -> None:
    policy = RetryPolicy(wait_fixed(10), stop_before_delay(60))
    assert policy.delay(1, first_at=0, now=40) == 10
    assert policy.delay(1, first_at=0, now=55) is None
    assert policy.delay(1, first_at=0, now=40, retry_after=30) is None


def test_no_wait_is_longer_than_a_week() -> None:
    assert RetryPolicy(wait_exponential(), stop_never).delay(100, 0, 0) == MAX_DELAY


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [(None, 300), (0, 300), (10, 300), (600, 600), (10**9, MAX_RETRY_AFTER), (float("inf"), 86400)],
)
def test_retry_after_lengthens_within_a_day_and_never_shortens(
    retry_after: float | None, expected: float
) -> None:
    policy = RetryPolicy.schedule((300,), jitter=0)
    assert policy.delay(1, 0, 0, retry_after) == expected


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        (RetryPolicy.schedule([5, 60], jitter=0), 65),
        (RetryPolicy.schedule([]), 0),
        (RetryPolicy.schedule([5], jitter=0).limited(3), 15),
        (RetryPolicy(wait_fixed(10), stop_after_delay(35)), 40),
        (RetryPolicy(wait_fixed(10), stop_never), math.inf),
    ],
)
def test_the_span_is_how_long_all_attempts_take(policy: RetryPolicy, seconds: float) -> None:
    assert policy.span == seconds


def test_retry_after_shortens_no_delay_of_more_than_a_day() -> None:
    policy = RetryPolicy.schedule((2 * 86400,), jitter=0)
    assert policy.delay(1, 0, 0, retry_after=10**9) == 2 * 86400


def test_retry_after_brings_no_attempt_beyond_the_last() -> None:
    assert RetryPolicy.schedule((5,)).delay(2, 0, 0, retry_after=60) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Fri, 13 Feb 2009 23:32:30 GMT", 60),
        ("Friday, 13-Feb-09 23:32:30 GMT", 60),
        ("Fri Feb 13 23:32:30 2009", 60),
        ("Fri, 13 Feb 2009 23:31:29 GMT", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        ("Fri, 99 Feb 2009 23:32:30 GMT", None),
        ("Fri, 13 Feb 2009 23:32:30 +9999999999", None),
    ],
)
def test_parse_retry_after(value: str, expected: float | None) -> None:
    assert parse_retry_after(value, now=1234567890.0) == expected


@given(st.text())
def test_parse_retry_after_never_raises_and_is_never_negative(value: str) -> None:
    seconds = parse_retry_after(value, now=0)
    assert seconds is None or seconds >= 0


@given(st.integers(0, 10**9), st.integers(0, 10**6))
def test_parse_retry_after_reads_every_date(now: int, seconds: int) -> None:
    then = datetime.fromtimestamp(now + seconds, timezone.utc)
    assert parse_retry_after(format_datetime(then, usegmt=True), now) == seconds


def test_from_config_reads_a_listeners_own_schedule() -> None:
    assert delays(RetryPolicy.from_config({"schedule": [5, 0.5], "jitter": 0})) == [5, 0.5]
    assert delays(RetryPolicy.from_config({"schedule": []})) == []
    assert 80 <= (RetryPolicy.from_config({"schedule": [100]}).delay(1, 0, 0) or 0) <= 120


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({}, "retry.schedule"),
        ({"schedule": "5, 300"}, "retry.schedule"),
        ({"schedule": [1] * 51}, "at most 50"),
        ({"schedule": [5, -1]}, "retry.schedule[1]: -1"),
        ({"schedule": [MAX_DELAY + 1]}, "retry.schedule[0]"),
        ({"schedule": ["5"]}, "retry.schedule[0]: '5'"),
        ({"schedule": [True]}, "retry.schedule[0]: True"),
        ({"schedule": [float("nan")]}, "retry.schedule[0]: nan"),
        ({"schedule": [5], "jitter": 1.5}, "retry.jitter: 1.5"),
        ({"schedule": [5], "jitter": None}, "retry.jitter: None"),
        ({"schedule": [5], "max": 3}, "'max'"),
    ],
)
def test_from_config_names_what_is_wrong(config: Mapping[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy.from_config(config)
    assert named in str(caught.value)

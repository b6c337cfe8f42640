import uuid
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import Response
from requests.structures import CaseInsensitiveDict

from deliverer.http import Result
from deliverer.request import prepare
from deliverer.targets import Target
from deliverer.verdict import LEAST_PATIENCE, Verdict, given_up, judge
from durian.errors import (
    AddressRefused,
    ConnectionFailed,
    DeadlineExceeded,
    DeliveryError,
    InvalidAnswer,
    InvalidURL,
    TLSFailed,
)
from durian.models import Attempt
from durian.options import Options
from durian.policy import RetryPolicy
from durian.signing import Signer, generate_secret
from durian.wire.messages import DeliveryMessage

NOW = 1_700_000_000.0
DELAYS = (5, 60)
TARGET = Target(
    listener=7,
    state="active",
    options=Options(policy=RetryPolicy.schedule(DELAYS, jitter=0)),
    template=prepare("https://example.com/", {}),
    signer=Signer([generate_secret()]),
)


def answer(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Response:
    response = Response()
    response.status_code = status
    response.headers = CaseInsensitiveDict(headers or {})
    response._content = body
    return response


def message(
    attempt: int = 1, first_attempt: float = 0.0, held_since: float = 0.0
) -> DeliveryMessage:
    return DeliveryMessage(
        id=str(uuid.uuid4()),
        event=str(uuid.uuid4()),
        hook="order.paid",
        listener=7,
        body="{}",
        created=NOW,
        attempt=attempt,
        first_attempt=first_attempt,
        held_since=held_since,
    )


def verdict(result: Result, attempt: int = 1, first_attempt: float = 0.0) -> Verdict:
    return judge(result, message(attempt, first_attempt), TARGET, NOW, NOW + 1)


@given(st.integers(200, 299), st.integers(1, 10))
def test_any_2xx_is_a_delivery(status: int, attempt: int) -> None:
    found = verdict(answer(status, body=b"thanks"), attempt)
    assert found == Verdict(Attempt.Outcome.DELIVERED, status=status, answer=b"thanks")


@given(st.integers(100, 599).filter(lambda one: one != 410 and not 200 <= one < 300))
def test_every_other_answer_but_410_is_tried_again(status: int) -> None:
    found = verdict(answer(status, body=b"sorry"))
    assert (found.outcome, found.status, found.retry_in) == (Attempt.Outcome.RETRY, status, 5)
    assert (found.answer, str(status) in found.error) == (b"sorry", True)


def test_410_ends_it() -> None:
    found = verdict(answer(410))
    assert (found.outcome, found.reason, found.retry_in) == (Attempt.Outcome.DEAD, "gone", None)


@pytest.mark.parametrize(
    "error", [ConnectionFailed("x"), DeadlineExceeded("x"), TLSFailed("x"), InvalidAnswer("x")]
)
def test_no_answer_is_tried_again_and_named(error: DeliveryError) -> None:
    found = verdict(error)
    assert (found.outcome, found.status, found.retry_in) == (Attempt.Outcome.RETRY, None, 5)
    assert type(error).__name__ in found.error


@pytest.mark.parametrize("error", [AddressRefused("x"), InvalidURL("x")])
def test_what_can_never_succeed_is_dead_at_once(error: DeliveryError) -> None:
    found = verdict(error)
    assert (found.outcome, found.reason) == (Attempt.Outcome.DEAD, "refused")


@pytest.mark.parametrize("result", [answer(500), ConnectionFailed("x")])
def test_the_schedule_is_followed_to_its_end(result: Result) -> None:
    assert [verdict(result, attempt).retry_in for attempt in (1, 2, 3)] == [5, 60, None]
    last = verdict(result, attempt=3)
    assert (last.outcome, last.reason) == (Attempt.Outcome.DEAD, "exhausted")


@pytest.mark.parametrize("value", ["120", formatdate(NOW + 121, usegmt=True)])
def test_retry_after_lengthens_the_wait(value: str) -> None:
    assert verdict(answer(503, {"retry-after": value})).retry_in == 120


@pytest.mark.parametrize("value", ["1", "-3", "soon", "", formatdate(NOW - 50, usegmt=True)])
def test_retry_after_neither_shortens_it_nor_confuses(value: str) -> None:
    assert verdict(answer(503, {"Retry-After": value})).retry_in == 5


def test_retry_after_is_bounded_by_a_day() -> None:
    assert verdict(answer(503, {"Retry-After": "9" * 20})).retry_in == 86_400


@pytest.mark.parametrize(
    ("delays", "patience"),
    [((5, 60), LEAST_PATIENCE), ((), LEAST_PATIENCE), ((5, 36_000), 36_005.0)],
)
def test_who_waits_for_a_receiver_that_is_away_gives_up_when_the_retries_would_have(
    delays: tuple[float, ...], patience: float
) -> None:
    target = replace(TARGET, options=Options(policy=RetryPolicy.schedule(delays, jitter=0)))
    waiting = message(held_since=NOW)
    assert given_up(waiting, target, NOW + patience) is None
    end = given_up(waiting, target, NOW + patience + 1)
    assert end is not None
    assert (end.outcome, end.reason) == (Attempt.Outcome.DEAD, "exhausted")
    assert "away" in end.error

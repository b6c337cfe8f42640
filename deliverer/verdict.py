"""What an attempt came to: delivered, to be tried again, or dead, and why."""

import msgspec
from requests import Response

from deliverer.http import Result
from deliverer.targets import Target
from durian.errors import DeliveryError
from durian.models import Attempt
from durian.policy import parse_retry_after
from durian.wire.messages import DeliveryMessage

GONE = 410
"""The answer of a receiver that wants no more events (Standard Webhooks)."""

LEAST_PATIENCE = 3600.0
"""Seconds that a delivery waits at least for a receiver that is away, however short its retries."""
AWAY_TOO_LONG = (
    "The receiver is away: POSTs to it failed one after the other, and this delivery has waited "
    "for it for as long as its retries would have taken."
)


class Verdict(msgspec.Struct, frozen=True):
    """What one attempt came to; `retry_in` is in seconds, None unless it is tried again."""

    outcome: str
    status: int | None = None
    error: str = ""
    answer: bytes = b""
    reason: str = ""
    retry_in: float | None = None


def judge(
    result: Result, delivery: DeliveryMessage, target: Target, began: float, now: float
) -> Verdict:
    """Return what `result`, of the attempt that `began` then, means for `delivery`."""
    verdict = _of_answer(result) if isinstance(result, Response) else _of_error(result)
    if verdict.outcome != Attempt.Outcome.RETRY:
        return verdict
    first = delivery.first_attempt or began
    delay = target.options.policy.delay(delivery.attempt, first, now, retry_after(result, now))
    if delay is None:
        return msgspec.structs.replace(verdict, outcome=Attempt.Outcome.DEAD, reason="exhausted")
    return msgspec.structs.replace(verdict, retry_in=delay)


def retry_after(result: Result, now: float) -> float | None:
    """Return for how many seconds an answer asks to be left alone, None if it does not."""
    if isinstance(result, Response) and "Retry-After" in result.headers:
        return parse_retry_after(result.headers["Retry-After"], now)
    return None


def given_up(delivery: DeliveryMessage, target: Target, now: float) -> Verdict | None:
    """Return the end of a delivery that has waited for too long for a receiver that is away.

    Without the waiting, its attempts would have failed by then, one after the other.
    """
    waited = now - delivery.held_since
    if waited <= LEAST_PATIENCE or waited <= target.options.policy.span:
        return None
    return Verdict(Attempt.Outcome.DEAD, error=AWAY_TOO_LONG, reason="exhausted")


def _of_answer(response: Response) -> Verdict:
    status, answer = response.status_code, response.content
    if 200 <= status < 300:
        return Verdict(Attempt.Outcome.DELIVERED, status, answer=answer)
    error = f"The receiver answered {status} {response.reason or ''}".rstrip() + "."
    if status == GONE:
        return Verdict(Attempt.Outcome.DEAD, status, error, answer, reason="gone")
    return Verdict(Attempt.Outcome.RETRY, status, error, answer)


def _of_error(error: DeliveryError) -> Verdict:
    text = f"{type(error).__name__}: {error}"
    if error.permanent:
        return Verdict(Attempt.Outcome.DEAD, error=text, reason="refused")
    return Verdict(Attempt.Outcome.RETRY, error=text)


def failed(error: Exception) -> Verdict:
    """Return the end of a delivery over which durian's own code, or the site's, has stumbled."""
    text = f"{type(error).__name__}: {error}"
    return Verdict(Attempt.Outcome.DEAD, error=text, reason="handler-error")

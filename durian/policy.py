"""When to try again: a value, made of tenacity's parts, without sleeping or a clock."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timezone
from email.utils import parsedate_to_datetime
from functools import cached_property
from math import inf
from typing import Any

from tenacity import RetryCallState, Retrying
from tenacity.stop import stop_after_attempt, stop_any, stop_base
from tenacity.wait import wait_base, wait_chain, wait_fixed, wait_none

from durian.errors import ConfigurationError

MAX_DELAY = 7 * 24 * 3600.0
"""Seconds that a delivery waits at most between two attempts, whatever a policy says."""

MAX_RETRY_AFTER = 24 * 3600.0
"""Seconds of a receiver's `Retry-After` that are honoured at most."""

MAX_STEPS = 50
"""Delays that a listener's own schedule may have."""

MAX_ATTEMPTS = 1000
"""Beyond so many attempts, a policy counts as one that never gives up."""

# tenacity's state of a call wants a retrying object; no wait or stop of tenacity reads it.
_RETRYING = Retrying()


class wait_jittered(wait_base):
    """Another wait, made longer or shorter by up to a fraction of itself.

    `jitter` is that fraction (0.2: ±20 %); `uniform` draws a number between two others.
    Receivers that failed together are so not called together again.
    """

    def __init__(
        self,
        wait: wait_base,
        jitter: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.wait = wait
        self.jitter = jitter
        self.uniform = uniform

    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the seconds to wait, as tenacity asks for them."""
        return self.wait(retry_state) * self.uniform(1 - self.jitter, 1 + self.jitter)


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait after a failed attempt, and when to give up.

    `wait` and `stop` are any of tenacity's `wait_*` and `stop_*`, or sums and alternatives of them:
    `RetryPolicy(wait_exponential(max=3600), stop_after_delay(86400))`. Those that ask for the
    exception of a call (`wait_exception`) do not fit: a delivery that failed has none.
    """

    wait: wait_base
    stop: stop_base

    @classmethod
    def schedule(
        cls,
        delays: Sequence[float],
        jitter: float = 0.2,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> "RetryPolicy":
        """Return the policy that waits for each of `delays` (seconds) in turn, then gives up."""
        if not delays:
            # Wrapped, so that `limited` does not take this for a count and lift it.
            return cls(wait_none(), stop_any(stop_after_attempt(1)))
        steps = wait_chain(*(wait_fixed(delay) for delay in delays))
        return cls(wait_jittered(steps, jitter, uniform), stop_after_attempt(len(delays) + 1))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "RetryPolicy":
        """Read what a listener stores as JSON: `{"schedule": [5, 300], "jitter": 0.2}`.

        At most 50 delays of 0 seconds to 7 days; the jitter, a fraction of 0 to 1, may be left out.
        Raises ConfigurationError, naming the part at fault.
        """
        unknown = sorted(config.keys() - {"schedule", "jitter"})
        if unknown:
            raise ConfigurationError(f"retry: unknown key {unknown[0]!r}; use schedule and jitter")
        delays = config.get("schedule")
        if not isinstance(delays, list | tuple) or len(delays) > MAX_STEPS:
            raise ConfigurationError(
                f"retry.schedule: give a list of at most {MAX_STEPS} delays in seconds"
            )
        for step, delay in enumerate(delays):
            _check_number(f"schedule[{step}]", delay, MAX_DELAY)
        jitter = config.get("jitter", 0.2)
        _check_number("jitter", jitter, 1)
        return cls.schedule(delays, jitter)

    def limited(self, max_retries: int) -> "RetryPolicy":
        """Return this policy with `max_retries` retries in place of its own number of them.

        Beyond the end of a schedule its last delay repeats. A rule of stopping that is not a plain
        count (`stop_after_delay`, or `NO_RETRY`'s) stays in force beside the new one.
        """
        count = stop_after_attempt(max_retries + 1)
        counted = isinstance(self.stop, stop_after_attempt)
        return replace(self, stop=count if counted else self.stop | count)

    def delay(
        self, attempt: int, first_at: float, now: float, retry_after: float | None = None
    ) -> float | None:
        """Return the seconds from `now` till the next attempt, or None to give up.

        `attempt` is the number of the attempt that just failed (the first is 1), `first_at` when
        the first one was made; both times in seconds of the same clock. `retry_after`, the
        receiver's own wish in seconds, can lengthen the wait, by itself to no more than 24 hours,
        and never shortens it; nor does it change when to give up, save for `stop_before_delay`.
        """
        state = RetryCallState(_RETRYING, None, (), {})
        state.attempt_number, state.start_time, state.outcome_timestamp = attempt, first_at, now
        wished = min(retry_after or 0.0, MAX_RETRY_AFTER)
        # Set before `stop` is asked: `stop_before_delay` looks at it.
        state.upcoming_sleep = min(max(self.wait(state), wished, 0.0), MAX_DELAY)
        return None if self.stop(state) else state.upcoming_sleep

    @cached_property
    def span(self) -> float:
        """The seconds from the first attempt to the last one, if all fail at once; infinity when it
        goes on for over MAX_ATTEMPTS."""
        elapsed = 0.0
        for attempt in range(1, MAX_ATTEMPTS + 1):
            delay = self.delay(attempt, 0.0, elapsed)
            if delay is None:
                return elapsed
            elapsed += delay
        return inf


DEFAULT_POLICY = RetryPolicy.schedule((5, 300, 1800, 7200, 18000, 36000, 36000))
"""5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, each ±20 %: eight attempts in about 28 hours."""

NO_RETRY = RetryPolicy.schedule(())
"""One attempt and no other, even when `limited` to more."""


def parse_retry_after(value: str, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait, None for one without sense.

    `value` is a number of seconds or an HTTP date (RFC 9110, 10.2.3), and `now` the Unix time that
    a date is compared with; a moment that has passed makes no sense.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # the oldest form of a date names no zone: it means UTC
        moment = moment.replace(tzinfo=timezone.utc)
    seconds = moment.timestamp() - now
    return seconds if seconds >= 0 else None


def _check_number(name: str, value: object, maximum: float) -> None:
    """Raise ConfigurationError unless `value` is a number of 0 to `maximum`."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= maximum  # false for NaN too
    ):
        raise ConfigurationError(
            f"retry.{name}: {value!r} is not a number between 0 and {maximum:g}"
        )

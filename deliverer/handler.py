"""The pump's handler of deliveries: sign, POST, then done, try again, or give up."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

import msgspec

from deliverer.breaker import is_away
from deliverer.engine import Engine, Took
from deliverer.http import Result
from deliverer.limits import Limits
from deliverer.log import Log
from deliverer.reader import DeliveryReader
from deliverer.request import request_for
from deliverer.row import Row
from deliverer.share import Pause
from deliverer.targets import Target, Targets
from deliverer.verdict import Verdict, failed, given_up, judge, retry_after
from durian.errors import (
    AddressRefused,
    ConfigurationError,
    DeliveryError,
    KeyMissing,
    Unavailable,
)
from durian.models import Attempt, Listener
from durian.wire.broker import Incoming, Outgoing
from durian.wire.dead import Autopsy, letter
from durian.wire.delays import delayed, still_early
from durian.wire.messages import DeliveryMessage, decode
from durian.wire.outcome import Answer, Outcome
from durian.wire.topology import Topology

logger = logging.getLogger("durian.deliverer")

KEY_SECONDS = 60.0
"""How long a delivery waits for a deliverer that has the key to its listener's secrets."""


class DeliveryHandler:
    """Delivers messages by the engine, and answers when the POST has ended."""

    def __init__(
        self,
        topology: Topology,
        targets: Targets,
        reader: DeliveryReader,
        engine: Engine,
        log: Log,
        limits: Limits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._topology = topology
        self._targets = targets
        self._reader = reader
        self._engine = engine
        self._log = log
        self._limits = limits
        self._clock = clock
        self._next_complaint = 0.0

    def __call__(self, incoming: Incoming, answer: Answer) -> None:
        """Begin a delivery. Raises MessageError, or Unavailable for what has to be read anew."""
        delivery = decode(DeliveryMessage, incoming.body)
        now = self._clock()
        if early := still_early(self._topology, delivery, now):
            answer(Outcome(publish=[early]))
            return
        if self._reader.was_made(incoming, delivery):
            answer(Outcome())
            return
        attempt = _Attempt(incoming, delivery, now, answer)
        try:
            target = self._targets.get(delivery.listener, delivery.hook)
        except KeyMissing as error:
            self._wait_for_key(attempt, error)
            return
        except (DeliveryError, ConfigurationError) as error:
            reason = "refused" if isinstance(error, AddressRefused) else "invalid-listener"
            self._end(attempt, Verdict("dead", error=str(error), reason=reason))
            return
        if target is None or target.state != Listener.State.ACTIVE:
            state = target.state if target else "deleted"
            self._end(attempt, Verdict("cancelled", error=f"The listener is {state}."))
            return
        self._post(attempt, target)

    def _post(self, attempt: "_Attempt", target: Target) -> None:
        self._limits.admit(
            target.listener,
            target.options.rate,
            attempt.delivery.reserved,
            go=partial(self._go, attempt, target),
            park=partial(self._park, attempt, target),
        )

    def _go(self, attempt: "_Attempt", target: Target) -> bool:
        attempt.began = self._clock()
        try:
            request = request_for(
                target.template, attempt.delivery, target.signer, int(attempt.began)
            )
            self._engine.submit(
                request, target.options.timeout, partial(self._on_result, attempt, target)
            )
        except Unavailable:
            return False  # The process is ending: what is not answered goes back to the queue.
        except Exception as error:
            logger.exception("No request to listener %d could be made.", target.listener)
            self._end(attempt, failed(error))
            return False
        return True

    def _wait_for_key(self, attempt: "_Attempt", error: KeyMissing) -> None:
        # The fault of this process's settings, not of the listener's: its deliveries wait, in the
        # broker, where they keep nobody else's from being made.
        if attempt.began >= self._next_complaint:
            self._next_complaint = attempt.began + KEY_SECONDS
            logger.error(
                "Deliveries to listener %d, or more, wait: %s", attempt.delivery.listener, error
            )
        later = delayed(self._topology, attempt.delivery, KEY_SECONDS, attempt.began)
        attempt.answer(Outcome(publish=[later]))

    def _park(self, attempt: "_Attempt", target: Target, pause: Pause) -> None:
        delivery, now = attempt.delivery, self._clock()
        # What was before the receiver's last answer is no waiting for it.
        held = max(delivery.held_since or now, now - pause.silence) if pause.away else 0.0
        delivery = msgspec.structs.replace(delivery, held_since=held)
        if pause.away:
            try:
                verdict = given_up(delivery, target, now)
            except Exception as error:
                verdict = self._policy_failed(target, error)
            if verdict:
                self._end(attempt, verdict)
                return
        parked = delayed(self._topology, delivery, pause.seconds, now, reserved=not pause.away)
        attempt.answer(Outcome(publish=[parked]))

    def _on_result(self, attempt: "_Attempt", target: Target, result: Result, took: Took) -> None:
        now = self._clock()
        away = is_away(result)
        # Only then: to read an answer's headers takes as long as all that the rest of it does.
        asked = retry_after(result, now) if away else None
        self._limits.release(target.listener, *took, away, asked or 0.0)
        attempt.seconds = took.total
        try:
            verdict = judge(result, attempt.delivery, target, attempt.began, now)
        except Exception as error:
            verdict = self._policy_failed(target, error)
        self._end(attempt, verdict)

    def _policy_failed(self, target: Target, error: Exception) -> Verdict:
        # A site's own retry policy may raise anything; the message must not be stranded.
        logger.error("The policy of listener %d failed.", target.listener, exc_info=error)
        return failed(error)

    def _end(self, attempt: "_Attempt", verdict: Verdict) -> None:
        row = logged(attempt.delivery, verdict, attempt.began, attempt.seconds)
        publish = self._consequence(attempt, verdict)
        attempt.answer(Outcome(publish=publish, record=partial(self._log.write, row)))

    def _consequence(self, attempt: "_Attempt", verdict: Verdict) -> list[Outgoing]:
        delivery = attempt.delivery
        first = delivery.first_attempt or attempt.began
        if verdict.retry_in is not None:
            # There was a POST: whoever waits for the receiver begins to do so anew.
            again = msgspec.structs.replace(
                delivery, attempt=delivery.attempt + 1, first_attempt=first, held_since=0.0
            )
            return [delayed(self._topology, again, verdict.retry_in, self._clock())]
        if verdict.outcome == Attempt.Outcome.DEAD:
            autopsy = Autopsy(
                reason=verdict.reason,
                detail=verdict.error,
                event=delivery.event,
                hook=delivery.hook,
                listener=delivery.listener,
                attempts=delivery.attempt,
                last_status=verdict.status or 0,
                first_attempt=first,
                last_attempt=attempt.began,
            )
            return [letter(self._topology, attempt.incoming, autopsy)]
        return []


@dataclass(slots=True)
class _Attempt:
    incoming: Incoming
    delivery: DeliveryMessage
    began: float
    answer: Answer
    seconds: float = 0.0


def logged(delivery: DeliveryMessage, verdict: Verdict, began: float, seconds: float) -> Row:
    """Return the row of the log for an attempt that began then and took so many seconds."""
    return Row(
        delivery=delivery.id,
        run=delivery.run,
        number=delivery.attempt,
        event=delivery.event,
        listener_id=delivery.listener,
        hook=delivery.hook,
        outcome=verdict.outcome,
        status=verdict.status,
        duration_ms=round(seconds * 1000),
        error=_storable(verdict.error),
        answer=verdict.answer,
        started_at=datetime.fromtimestamp(began, timezone.utc),
    )


def _storable(text: str) -> str:
    # A receiver may have put anything into it; PostgreSQL's text holds neither NUL nor surrogates.
    return text.encode("utf-8", "replace").decode().replace("\x00", "")

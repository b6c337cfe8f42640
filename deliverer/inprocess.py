"""Deliveries without a broker and without a thread: one attempt each, while the caller waits."""

import time
from collections.abc import Iterable

import msgspec

from deliverer.handler import logged
from deliverer.http import Settings, exchange
from deliverer.request import request_for
from deliverer.row import Row
from deliverer.targets import target_of
from deliverer.verdict import Verdict, judge
from durian.errors import ConfigurationError, DeliveryError
from durian.matcher import delivery_of
from durian.models import Attempt, Event, Listener
from durian.wire.messages import DeliveryMessage


def deliver_now(event: Event, listeners: Iterable[Listener], settings: Settings) -> list[Attempt]:
    """POST `event` to each of `listeners`, and return the attempts, which are logged as well.

    A failed one is not tried again; its outcome is "dead".
    """
    rows = [_deliver(event, listener, settings) for listener in listeners]
    return Attempt.objects.bulk_create(row.attempt() for row in rows)


def _deliver(event: Event, listener: Listener, settings: Settings) -> Row:
    delivery, began = delivery_of(event, listener.pk), time.time()
    verdict = _attempt(delivery, listener, settings, began)
    if verdict.outcome != Attempt.Outcome.DELIVERED:
        verdict = msgspec.structs.replace(verdict, outcome=Attempt.Outcome.DEAD)
    return logged(delivery, verdict, began, time.time() - began)


def _attempt(
    delivery: DeliveryMessage, listener: Listener, settings: Settings, began: float
) -> Verdict:
    try:
        target = target_of(listener, delivery.hook)
    except (DeliveryError, ConfigurationError) as error:
        # The other listeners shall not miss the event for it.
        return Verdict(Attempt.Outcome.DEAD, error=str(error))
    request = request_for(target.template, delivery, target.signer, int(began))
    result = exchange(request, target.options.timeout, settings)
    return judge(result, delivery, target, began, time.time())

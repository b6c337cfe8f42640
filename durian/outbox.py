"""The write side of the outbox: payloads become Event rows in the caller's transaction."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import router, transaction
from django.utils import timezone

from durian import ids
from durian.conf import config
from durian.errors import ConfigurationError, PayloadError
from durian.models import Event
from durian.signals import dispatch_requested, events_committed


def encode_body(hook: str, envelope: str, payload: Mapping[str, Any]) -> str:
    """Return the text that receivers get for `payload`.

    Raises PayloadError for what is not JSON (by Django's encoder: dates, decimals and UUIDs are
    fine, NaN is not) or is over DURIAN["MAX_PAYLOAD"] bytes.
    """
    if envelope == Event.Envelope.STANDARD:
        payload = {"type": hook, "timestamp": timezone.now(), "data": payload}
    try:
        body = json.dumps(payload, cls=DjangoJSONEncoder, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"The payload of {hook!r} cannot be sent as JSON: {error}") from error
    limit = config().max_payload
    if len(body) > limit:
        raise PayloadError(
            f"The payload of {hook!r} has {len(body)} bytes, over DURIAN['MAX_PAYLOAD'] = {limit}. "
            "Send an id and let the receiver ask for the rest, or raise the limit."
        )
    return body


def decode_payload(body: str, envelope: str) -> Any:
    """Return what `encode_body` was given, as JSON has it: what filters look at."""
    payload = json.loads(body)
    return payload["data"] if envelope == Event.Envelope.STANDARD else payload


def record(
    hook: str,
    bodies: Sequence[str],
    *,
    envelope: str,
    archive: bool,
    using: str | None,
    published: bool = False,
) -> list[Event]:
    """Insert an event for each of `bodies`, in one statement, in the caller's transaction.

    `using` is the database (None asks the routers); `published` keeps the relay away. Raises
    ConfigurationError for a database whose outbox nobody reads.
    """
    using = using or router.db_for_write(Event)
    if using not in config().outbox_databases:
        raise ConfigurationError(
            f"An event of {hook!r} goes to the database {using!r}, which no relay reads: "
            "add it to DURIAN['OUTBOX_DATABASES']."
        )
    now = timezone.now()
    events = [
        Event(
            id=ids.new_event_id(),
            hook=hook,
            body=body,
            envelope=envelope,
            archive=archive,
            created_at=now,
            published_at=now if published else None,
        )
        for body in bodies
    ]
    if len(events) == 1:
        events[0].save(using=using, force_insert=True)
    else:
        Event.objects.using(using).bulk_create(events, batch_size=1000)
    if not published:
        transaction.on_commit(lambda: _announce(using), using=using)
    return events


def _announce(using: str) -> None:
    events_committed.send(sender=Event, using=using)


def dispatch_on_commit(event: Event, outcomes: list[Any]) -> None:
    """Deliver `event` in this process once its transaction commits; fills `outcomes`."""

    def dispatch() -> None:
        for _, result in dispatch_requested.send(sender=Event, event=event):
            outcomes.extend(result)

    transaction.on_commit(dispatch, using=event._state.db)

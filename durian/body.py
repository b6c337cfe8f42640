"""The text that receivers get: serialised once, the same bytes on every attempt and replay."""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from durian.conf import config
from durian.errors import MessageError, PayloadError

PLAIN = "plain"
"""The payload is the body."""
STANDARD = "standard"
"""The body has type, timestamp and, with the payload, data (Standard Webhooks)."""
ENVELOPES = (PLAIN, STANDARD)
_ENCODER = DjangoJSONEncoder(allow_nan=False)


def encode_body(hook: str, envelope: str, payload: Mapping[str, Any]) -> str:
    """Return the text that receivers get for `payload`.

    Raises PayloadError for what is no JSON object (by Django's encoder: dates, decimals and UUIDs
    are fine, NaN is not) or is over DURIAN["MAX_PAYLOAD"] bytes.
    """
    try:
        document = dict(payload)
        if envelope == STANDARD:
            document = {"type": hook, "timestamp": datetime.now(timezone.utc), "data": document}
        # ASCII only, so that characters are bytes.
        body = _ENCODER.encode(document)
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
    """Return what `encode_body` was given, as JSON has it: what filters look at.

    Raises MessageError for what `encode_body` never gives.
    """
    if envelope not in ENVELOPES:
        raise MessageError(f"has a body in the envelope {envelope[:40]!r}, which is unknown")
    try:
        document = json.loads(body)
        payload = document["data"] if envelope == STANDARD else document
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise MessageError(
            f"has a body that is no payload: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(payload, dict):
        raise MessageError(f"has a body whose payload is no object: {type(payload).__name__}")
    return payload

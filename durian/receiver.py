"""For whoever receives: a decorator that hands a Django view only what was signed for it."""

import json
import logging
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from durian.errors import InvalidSignature
from durian.signing import verify

logger = logging.getLogger(__name__)

View = Callable[..., Any]
Secrets = str | Sequence[str] | Callable[[HttpRequest], Sequence[str]]


class WebhookRequest(HttpRequest):
    """What the view's `request` is, for its annotation: a request with who and when."""

    webhook_id: str
    """The event's id, the same on every repeat: remember it to handle an event once."""

    webhook_timestamp: int
    """When this attempt was made, in Unix seconds."""


def webhook(
    secrets: Secrets, *, tolerance: int = 300, max_body: int = 1024 * 1024
) -> Callable[[View], View]:
    """Decorate `view(request, payload, ...)` to be called with verified webhooks only.

    `secrets` is a `whsec_…` or a public key `whpk_…`, a list of them (a rotation), or a callable
    that returns the list for a request; when that is empty, nothing is accepted. `tolerance` is
    in seconds, `max_body` in bytes.

    `payload` is the body, a JSON object; `request`, whose body has been read, is a
    WebhookRequest. What is refused is answered in plain text and does not reach the view: 405
    for what is no POST, 413 for too large a body, 401 when signature or timestamp do not hold,
    400 for a body that is not a JSON object. The view may be `async`; it needs no CSRF token.
    """

    def receive(request: HttpRequest) -> dict[str, Any] | HttpResponse:
        return _receive(request, secrets, tolerance, max_body)

    def decorate(view: View) -> View:
        @wraps(view)
        def received(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            payload = receive(request)
            if isinstance(payload, HttpResponse):
                return payload
            return view(request, payload, *args, **kwargs)

        @wraps(view)
        async def received_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            # In a thread: `secrets` may ask the database.
            payload = await sync_to_async(receive)(request)
            if isinstance(payload, HttpResponse):
                return payload
            return await view(request, payload, *args, **kwargs)

        wrapped: Any = received_async if iscoroutinefunction(view) else received
        # By hand, since the decorator of Django 4.2 would make a plain function of an async one.
        wrapped.csrf_exempt = True
        return cast("View", wrapped)

    return decorate


def _receive(
    request: HttpRequest, secrets: Secrets, tolerance: int, max_body: int
) -> dict[str, Any] | HttpResponse:
    """Return the verified payload of `request`, or the answer that refuses it."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    # Not `request.body`: that reads as much as the site allows for its uploads.
    body = request.read(max_body + 1)
    if len(body) > max_body:
        return _refused(413, "The body is too large.")
    try:
        verify(request.headers, body, _secrets_for(request, secrets), tolerance)
    except InvalidSignature as error:
        # The answer is the same for all reasons: a stranger learns nothing from it.
        logger.warning("A webhook to %r was refused: %s", request.path, error)
        return _refused(401, "The signature or its timestamp is not accepted.")
    payload = _payload(body)
    if payload is None:
        return _refused(400, "The body is not a JSON object.")
    verified = cast("WebhookRequest", request)
    verified.webhook_id = request.headers["webhook-id"]
    verified.webhook_timestamp = int(request.headers["webhook-timestamp"])
    return payload


def _secrets_for(request: HttpRequest, secrets: Secrets) -> Sequence[str]:
    if isinstance(secrets, str):
        return [secrets]
    if not callable(secrets):
        return secrets
    found = secrets(request)
    if not found:
        raise InvalidSignature("There is no secret for this request.")
    return found


def _payload(body: bytes) -> dict[str, Any] | None:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _refused(status: int, reason: str) -> HttpResponse:
    return HttpResponse(f"{reason}\n", status=status, content_type="text/plain; charset=utf-8")

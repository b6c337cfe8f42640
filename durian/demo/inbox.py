"""The demo's receivers: views that verify what they get, and fail now and then."""

import threading
import zlib

from django.db import transaction
from django.http import HttpRequest, HttpResponse

from durian.models import Listener
from durian.receiver import WebhookRequest, webhook

BROKEN = "broken"

received: set[tuple[str, int]] = set()
"""The (webhook-id, listener) that were received in this process."""
_lock = threading.Lock()


def secrets_of_listener(request: HttpRequest) -> list[str]:
    """Return the secrets to verify with. The demo may look: it is sender and receiver in one."""
    return Listener.objects.get(pk=request.headers["durian-listener"]).signing_secrets()


@transaction.non_atomic_requests
@webhook(secrets_of_listener)
def inbox(request: WebhookRequest, payload: dict[str, object], name: str) -> HttpResponse:
    """Receive a webhook; the one called "broken" always fails, the others one time in ten."""
    first = request.headers["durian-attempt"] == "1"
    unlucky = first and zlib.crc32(request.webhook_id.encode()) % 10 == 0
    if name == BROKEN or unlucky:
        # Not 503: after five of these the receiver would count as away, and be left alone.
        return HttpResponse("Sorry, not this one.", status=500)
    with _lock:
        received.add((request.webhook_id, int(request.headers["durian-listener"])))
    return HttpResponse("Thanks!")

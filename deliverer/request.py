"""The request of a delivery: prepared once for each listener, signed once for each attempt."""

from collections.abc import Mapping

import requests
from requests import PreparedRequest
from requests.auth import AuthBase

from durian import __version__
from durian.errors import InvalidURL
from durian.signing import Signer
from durian.wire.messages import DeliveryMessage

USER_AGENT = f"durian/{__version__} (Django webhooks)"


class StandardWebhooksAuth(AuthBase):
    """Signs a request's body after the Standard Webhooks specification."""

    def __init__(self, signer: Signer, webhook_id: str, timestamp: int) -> None:
        self._signer = signer
        self._webhook_id = webhook_id
        self._timestamp = timestamp

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Add the headers webhook-id, webhook-timestamp and webhook-signature."""
        body = r.body or b""
        body = body.encode() if isinstance(body, str) else body
        r.headers.update(self._signer.headers(self._webhook_id, self._timestamp, body))
        return r


def prepare(url: str, headers: Mapping[str, str]) -> PreparedRequest:
    """Return what all requests to a listener have in common. Raises InvalidURL."""
    common = {**headers, "User-Agent": USER_AGENT, "Content-Type": "application/json"}
    template = PreparedRequest()
    try:
        # Not all that `requests` prepares: there are no cookies, and each delivery has its body.
        template.prepare_method("POST")
        template.prepare_url(url, "")
        template.prepare_headers(common)
    except requests.RequestException as error:
        raise InvalidURL(f"{url!r} cannot be called: {error}") from error
    # A plain dictionary: what requests has in its place finds names in any case, and costs as much
    # as signing does. Here no name comes in two cases: listeners cannot set those of an attempt.
    template.headers = dict(template.headers)  # type: ignore[assignment]
    return template


def request_for(
    template: PreparedRequest, delivery: DeliveryMessage, signer: Signer, timestamp: int
) -> PreparedRequest:
    """Return the signed request of one attempt, made at `timestamp` (seconds since the epoch)."""
    request = PreparedRequest()
    request.method, request.url = template.method, template.url
    request.body = delivery.body.encode()
    # Not template.copy(): that copies a jar of cookies, too, and takes twice the time.
    request.headers = {  # type: ignore[assignment]
        **template.headers,
        "Content-Length": str(len(request.body)),
        "durian-hook": delivery.hook,
        "durian-listener": str(delivery.listener),
        "durian-delivery": delivery.id,
        "durian-attempt": str(delivery.attempt),
    }
    return StandardWebhooksAuth(signer, delivery.event, timestamp)(request)

import msgspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from deliverer.request import USER_AGENT, StandardWebhooksAuth, prepare, request_for
from durian.errors import InvalidURL
from durian.signing import Signer, generate_secret, verify
from durian.wire.messages import DeliveryMessage

SECRET = generate_secret()
SIGNER = Signer([SECRET])
NOW = 1_700_000_000
DELIVERY = DeliveryMessage(
    id="01890000-0000-7000-8000-000000000001",
    event="01890000-0000-7000-8000-000000000002",
    hook="shop.order.saved",
    listener=7,
    body='{"name": "Zoë"}',
    created=NOW,
    attempt=3,
)
TEMPLATE = prepare("https://example.com/hook?a=1", {"X-Team": "blue"})


def test_what_the_requests_of_a_listener_have_in_common() -> None:
    assert (TEMPLATE.method, TEMPLATE.url) == ("POST", "https://example.com/hook?a=1")
    assert TEMPLATE.headers["X-Team"] == "blue"
    assert TEMPLATE.headers["Content-Type"] == "application/json"
    assert "durian" in TEMPLATE.headers["User-Agent"]


def test_a_listener_cannot_pass_for_another_agent_or_type() -> None:
    template = prepare("https://example.com/", {"user-agent": "me", "content-type": "text/html"})
    assert template.headers["User-Agent"] == USER_AGENT
    assert template.headers["Content-Type"] == "application/json"


def test_what_cannot_be_called_is_named() -> None:
    with pytest.raises(InvalidURL, match="nowhere"):
        prepare("nowhere", {})


def test_the_headers_name_the_hook_the_listener_the_delivery_and_the_attempt() -> None:
    headers = request_for(TEMPLATE, DELIVERY, SIGNER, NOW).headers
    assert headers["durian-hook"] == DELIVERY.hook
    assert headers["durian-listener"] == "7"
    assert headers["durian-delivery"] == DELIVERY.id
    assert headers["durian-attempt"] == "3"
    assert headers["webhook-id"] == DELIVERY.event
    assert headers["webhook-timestamp"] == str(NOW)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_body_is_the_deliverys_bytes_and_the_signature_fits_them(body: str) -> None:
    delivery = msgspec.structs.replace(DELIVERY, body=body)
    request = request_for(TEMPLATE, delivery, SIGNER, NOW)
    assert request.body == body.encode()
    assert request.headers["Content-Length"] == str(len(body.encode()))
    verify(request.headers, body.encode(), [SECRET], now=NOW)


def test_nothing_of_one_attempt_is_left_in_the_next() -> None:
    request_for(TEMPLATE, DELIVERY, SIGNER, NOW)
    assert TEMPLATE.body is None
    assert not [name for name in TEMPLATE.headers if name.startswith(("webhook-", "durian-"))]


def test_the_same_signature_for_anybodys_requests() -> None:
    auth = StandardWebhooksAuth(SIGNER, DELIVERY.event, NOW)
    request = requests.Request("POST", "https://example.com", json={"a": 1}, auth=auth).prepare()
    assert isinstance(request.body, bytes)
    verify(request.headers, request.body, [SECRET], now=NOW)


def test_no_secret_in_a_representation() -> None:
    assert SECRET not in repr(vars(StandardWebhooksAuth(SIGNER, DELIVERY.event, NOW)))

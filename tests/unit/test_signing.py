"""Standard Webhooks: what is signed here others verify, and the other way round."""

import time
from base64 import b64encode
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from durian.errors import InvalidSecret, InvalidSignature
from durian.signing import Signer, generate_key_pair, generate_secret, validate_secret, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {
    "webhook-id": WEBHOOK_ID,
    "webhook-timestamp": str(TIMESTAMP),
    "webhook-signature": SIGNATURE,
}

PRIVATE_KEY, PUBLIC_KEY = generate_key_pair()


def encoded(prefix: str, size: int) -> str:
    return prefix + b64encode(bytes(range(size))).decode()


def test_the_specifications_vector() -> None:
    assert Signer([SECRET]).headers(WEBHOOK_ID, TIMESTAMP, BODY) == HEADERS
    verify(HEADERS, BODY, [SECRET], now=TIMESTAMP)


@given(st.text())
def test_the_package_standardwebhooks_verifies_what_is_signed(text: str) -> None:
    secret = generate_secret()
    headers = Signer([secret]).headers("msg_1", int(time.time()), text.encode())
    Webhook(secret).verify(text, headers, json_parse=False)


@given(st.text())
def test_what_the_package_standardwebhooks_signs_is_verified(text: str) -> None:
    secret = generate_secret()
    moment = datetime.fromtimestamp(TIMESTAMP, timezone.utc)
    headers = HEADERS | {"webhook-signature": Webhook(secret).sign(WEBHOOK_ID, moment, text)}
    verify(headers, text.encode(), [secret], now=TIMESTAMP)


def test_the_public_key_verifies_what_the_private_key_signed() -> None:
    headers = Signer([PRIVATE_KEY]).headers(WEBHOOK_ID, TIMESTAMP, BODY)
    assert headers["webhook-signature"].startswith("v1a,")
    verify(headers, BODY, [PUBLIC_KEY], now=TIMESTAMP)
    with pytest.raises(InvalidSignature):
        verify(headers, BODY + b" ", [PUBLIC_KEY], now=TIMESTAMP)
    with pytest.raises(InvalidSignature):
        verify(headers, BODY, [generate_key_pair()[1]], now=TIMESTAMP)


def test_during_a_rotation_each_secret_signs_and_either_is_accepted() -> None:
    old, new = generate_secret(), generate_secret()
    headers = Signer([new, old, PRIVATE_KEY]).headers(WEBHOOK_ID, TIMESTAMP, BODY)
    versions = [each.split(",")[0] for each in headers["webhook-signature"].split(" ")]
    assert versions == ["v1", "v1", "v1a"]
    for secrets in ([old], [new], [PUBLIC_KEY], [generate_secret(), old]):
        verify(headers, BODY, secrets, now=TIMESTAMP)


def test_names_of_headers_may_be_in_any_case() -> None:
    verify({name.title(): value for name, value in HEADERS.items()}, BODY, [SECRET], now=TIMESTAMP)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_other"},
        {"webhook-id": ""},
        {"webhook-timestamp": str(TIMESTAMP + 1)},
        {"webhook-timestamp": "0" + str(TIMESTAMP)[:-1]},
        {"webhook-timestamp": f"{TIMESTAMP}.0"},
        {"webhook-timestamp": f"-{TIMESTAMP}"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": "yesterday"},
        {"webhook-signature": SIGNATURE.replace("v1,", "v2,")},
        {"webhook-signature": SIGNATURE.replace("v1,", "v1a,")},
        {"webhook-signature": SIGNATURE.removeprefix("v1,")},
        {"webhook-signature": SIGNATURE[:-2]},
        {"webhook-signature": "v1a,not base64"},
        {"webhook-signature": "v1a,é"},
        {"webhook-signature": "v1,\ud800"},
        {"webhook-id": "\ud800"},
        {"webhook-signature": "v1"},
        {"webhook-signature": " "},
    ],
)
def test_altered_headers_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(InvalidSignature):
        verify(HEADERS | change, BODY, [SECRET, PUBLIC_KEY], now=TIMESTAMP)


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_a_missing_header_is_named(name: str) -> None:
    headers = {key: value for key, value in HEADERS.items() if key != name}
    with pytest.raises(InvalidSignature, match=name):
        verify(headers, BODY, [SECRET], now=TIMESTAMP)


@pytest.mark.parametrize("body", [b"", b'{"test":2432232314}', BODY + b"\n", b"\xff\xfe"])
def test_an_altered_body_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidSignature):
        verify(HEADERS, body, [SECRET], now=TIMESTAMP)


ANY_TEXT = st.text(st.characters(exclude_categories=()))
"""With lone surrogates, too."""


@given(st.dictionaries(st.sampled_from(sorted(HEADERS)), ANY_TEXT), st.binary())
def test_what_a_stranger_sends_is_refused_and_breaks_nothing(
    change: dict[str, str], body: bytes
) -> None:
    with pytest.raises(InvalidSignature):
        verify(HEADERS | change, b"!" + body, [SECRET, PUBLIC_KEY], now=TIMESTAMP)


@pytest.mark.parametrize(
    ("age", "accepted"), [(-301, False), (-300, True), (300, True), (301, False)]
)
def test_only_recent_webhooks_are_accepted(age: int, accepted: bool) -> None:
    if accepted:
        verify(HEADERS, BODY, [SECRET], now=TIMESTAMP + age)
        return
    with pytest.raises(InvalidSignature, match="clock"):
        verify(HEADERS, BODY, [SECRET], now=TIMESTAMP + age)


def test_the_tolerance_can_be_set() -> None:
    verify(HEADERS, BODY, [SECRET], tolerance=1000, now=TIMESTAMP + 1000)


def test_without_a_given_moment_the_clock_counts() -> None:
    verify(Signer([SECRET]).headers("msg_1", int(time.time()), BODY), BODY, [SECRET])
    with pytest.raises(InvalidSignature, match="clock"):
        verify(HEADERS, BODY, [SECRET])


def test_a_stranger_cannot_ask_for_thousands_of_comparisons() -> None:
    many = HEADERS | {"webhook-signature": "v1,AAAA " * 20 + SIGNATURE}
    with pytest.raises(InvalidSignature, match="20"):
        verify(many, BODY, [SECRET], now=TIMESTAMP)


def test_generated_secrets_are_valid_and_differ() -> None:
    assert generate_secret() != generate_secret()
    validate_secret(generate_secret())
    validate_secret(generate_key_pair()[0])


@pytest.mark.parametrize(
    "secret",
    [
        encoded("whsec_", 24),
        encoded("whsec_", 64),
        encoded("whsec_", 25).rstrip("="),
        encoded("whsk_", 32),
    ],
)
def test_secrets_of_every_form_of_the_standard_are_valid(secret: str) -> None:
    validate_secret(secret)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        encoded("", 32),
        encoded("whsec_", 23),
        encoded("whsec_", 65),
        "whsec_" + "é" * 32,
        "whsec_" + "*" * 32,
        encoded("whsk_", 33),
        encoded("whsk_", 64),  # its second half is not the public key of the first
        encoded("whpk_", 32),  # verifies, but does not sign
    ],
)
def test_an_invalid_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(InvalidSecret) as caught:
        validate_secret(secret)
    material = secret.rpartition("_")[2]
    assert not material or material not in str(caught.value)


@pytest.mark.parametrize("secrets", [[], SECRET, [SECRET, "whsec_short"]])
def test_secrets_are_a_list_of_valid_ones(secrets: list[str] | str) -> None:
    with pytest.raises(InvalidSecret):
        Signer(secrets)
    with pytest.raises(InvalidSecret):
        verify(HEADERS, BODY, secrets, now=TIMESTAMP)


def test_repr_hides_the_secrets() -> None:
    assert SECRET.removeprefix("whsec_") not in repr(Signer([SECRET]))

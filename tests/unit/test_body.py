import json
import uuid
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from durian.body import ENVELOPES, PLAIN, STANDARD, decode_payload, encode_body
from durian.errors import MessageError, PayloadError

finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
payloads = st.dictionaries(st.text(), values)


@given(payload=payloads, envelope=st.sampled_from(ENVELOPES))
def test_filters_look_at_what_was_sent_whatever_its_envelope(
    payload: dict[str, Any], envelope: str
) -> None:
    body = encode_body("person", envelope, payload)
    assert body.isascii()
    assert decode_payload(body, envelope) == payload


def test_the_payload_is_the_body_in_its_own_order() -> None:
    body = encode_body("person", PLAIN, {"name": "Zoë", "age": 3})
    assert body == r'{"name": "Zo\u00eb", "age": 3}'


def test_the_standard_envelope_has_type_timestamp_and_data() -> None:
    body = json.loads(encode_body("person", STANDARD, {"name": "Joe"}))
    assert list(body) == ["type", "timestamp", "data"]
    assert (body["type"], body["data"]) == ("person", {"name": "Joe"})
    assert datetime.fromisoformat(body["timestamp"].replace("Z", "+00:00")).tzinfo


def test_the_standard_envelope_has_the_time_in_utc_whatever_the_site_s_is(
    settings: Settings,
) -> None:
    settings.USE_TZ = False
    body = json.loads(encode_body("person", STANDARD, {"name": "Joe"}))
    assert body["timestamp"].endswith("Z")


def test_what_django_encodes_is_encoded() -> None:
    key = uuid.UUID(int=1)
    payload = {
        "moment": datetime(2026, 5, 1, 12, tzinfo=timezone.utc),
        "day": date(2026, 5, 1),
        "price": Decimal("1.10"),
        "key": key,
        "lazy": gettext_lazy("name"),
    }
    assert json.loads(encode_body("person", PLAIN, payload)) == {
        "moment": "2026-05-01T12:00:00Z",
        "day": "2026-05-01",
        "price": "1.10",
        "key": str(key),
        "lazy": "name",
    }


def endless() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    return loop


@pytest.mark.parametrize(
    "payload",
    [{"a": object()}, {"a": float("nan")}, {("a", "b"): 1}, {"a": b"x"}, endless(), [1, 2], "text"],
)
def test_what_is_no_json_object_is_refused_by_name(payload: Any) -> None:
    with pytest.raises(PayloadError, match="payload of 'person' cannot be sent as JSON"):
        encode_body("person", PLAIN, payload)


def test_a_body_may_have_as_many_bytes_as_the_setting_says(settings: Settings) -> None:
    settings.DURIAN = {"MAX_PAYLOAD": 11}
    assert len(encode_body("person", PLAIN, {"a": "xx"})) == 11
    with pytest.raises(PayloadError, match=r"has 12 bytes, over DURIAN\['MAX_PAYLOAD'\] = 11"):
        encode_body("person", PLAIN, {"a": "xxx"})
    with pytest.raises(PayloadError):
        encode_body("person", PLAIN, {"a": "é"})


@pytest.mark.parametrize(
    ("body", "envelope", "says"),
    [
        ("", PLAIN, "is no payload: JSONDecodeError"),
        ("[" * 100_000, PLAIN, "is no payload: RecursionError"),
        ("9" * 5000, PLAIN, "is no payload: ValueError"),
        ("[1]", PLAIN, "payload is no object: list"),
        ("null", PLAIN, "payload is no object: NoneType"),
        ("{}", STANDARD, "is no payload: KeyError"),
        ("[1]", STANDARD, "is no payload: TypeError"),
        ('{"data": 1}', STANDARD, "payload is no object: int"),
        ("{}", "gift", "envelope 'gift', which is unknown"),
    ],
)
def test_a_body_that_no_hook_made_is_a_fault_of_the_message(
    body: str, envelope: str, says: str
) -> None:
    with pytest.raises(MessageError, match=says):
        decode_payload(body, envelope)

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durian.errors import MessageError, UnknownVersion
from durian.wire.messages import DeliveryMessage, EventMessage, decode, encode
from tests.unit.wire.make import delivery, event

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        delivery,
        hook=st.text(),
        body=st.text(),
        created=finite,
        not_before=finite,
        attempt=st.integers(1, 100),
        reserved=st.booleans(),
    )
)
def test_a_delivery_survives_the_broker(message: DeliveryMessage) -> None:
    assert decode(DeliveryMessage, encode(message)) == message


@given(st.builds(event, hook=st.text(), body=st.text(), listeners=st.integers(0, 2**60)))
def test_an_event_survives_the_broker(message: EventMessage) -> None:
    assert decode(EventMessage, encode(message)) == message


def test_a_newer_minor_version_is_read_without_what_is_unknown() -> None:
    newer = json.loads(encode(event(id="01890000-0000-7000-8000-000000000001")))
    newer |= {"version": "1.7", "colour": "green"}
    read = decode(EventMessage, json.dumps(newer).encode())
    assert read.id == "01890000-0000-7000-8000-000000000001"


def test_a_newer_major_version_is_told_from_nonsense() -> None:
    with pytest.raises(UnknownVersion, match="is of version 2; this process reads version 1"):
        decode(EventMessage, b'{"version": "2.0"}')


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "truncated"),
        (b"not JSON", "JSON"),
        (b"[1, 2]", "object"),
        (b"\xff\xfe", "JSON"),
        (b'{"version": "\xed\xa0\x80"}', "utf-8"),
        (b'{"id": "x"}', "version"),
        (b'{"version": 1}', "str"),
        (b'{"version": "one"}', "one"),
        (b'{"version": "1.0"}', "missing required field `id`"),
        (b'{"version": "1.0", "more": ' + b"[" * 50_000, "recursion"),
    ],
)
def test_what_cannot_be_read_is_named(body: bytes, said: str) -> None:
    with pytest.raises(MessageError, match="is no EventMessage in JSON") as caught:
        decode(EventMessage, body)
    assert said.lower() in str(caught.value).lower()
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize("field", ["id", "event", "hook", "listener", "body", "created"])
def test_every_field_without_a_default_is_needed(field: str) -> None:
    fields = json.loads(encode(delivery()))
    del fields[field]
    with pytest.raises(MessageError, match=field):
        decode(DeliveryMessage, json.dumps(fields).encode())


def test_ids_are_uuids() -> None:
    with pytest.raises(MessageError, match="regex"):
        decode(DeliveryMessage, encode(delivery(event="../admin")))


def test_text_that_utf8_cannot_say_is_refused_when_written() -> None:
    with pytest.raises(MessageError, match="cannot be encoded"):
        encode(event(body="\ud800"))

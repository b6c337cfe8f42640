import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durian.errors import MessageError, UnknownVersion
from durian.wire.messages import (
    DeliveryMessage,
    EventMessage,
    decode,
    encode,
    label,
    listeners_seen,
)
from tests.unit.wire.make import delivery, event

UUID = "01890000-0000-7000-8000-000000000001"

moments = st.floats(0, 1e11)
names = st.from_regex(r"\A[a-z_]{1,20}(\.[a-z0-9-]{1,20}){0,5}\Z")


@given(
    st.builds(
        delivery,
        hook=names,
        body=st.text(),
        created=moments,
        not_before=moments,
        attempt=st.integers(1, 100),
        reserved=st.booleans(),
    )
)
def test_a_delivery_survives_the_broker(message: DeliveryMessage) -> None:
    assert decode(DeliveryMessage, encode(message)) == message


@given(st.builds(event, hook=names, body=st.text(), listeners=st.integers(0, 2**60)))
def test_an_event_survives_the_broker(message: EventMessage) -> None:
    assert decode(EventMessage, encode(message)) == message


def test_a_newer_minor_version_is_read_without_what_is_unknown() -> None:
    newer = json.loads(encode(event(id=UUID)))
    newer |= {"version": "1.7", "colour": "green"}
    read = decode(EventMessage, json.dumps(newer).encode())
    assert read.id == UUID


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


@pytest.mark.parametrize(
    "change",
    [
        {"event": "../admin"},
        {"event": "01890000-0000-7000-8000-000000000001\n"},
        {"hook": ""},
        {"hook": "a\r\nwebhook-id: 1"},
        {"hook": "a\0"},
        {"hook": "x" * 201},
        {"listener": -1},
        {"listener": 2**63},
        {"attempt": 0},
        {"attempt": 2**31},
        {"run": "\0"},
        {"run": "x" * 37},
        {"created": -1.0},
        {"not_before": 1e308},
        {"delay": 1e12},
    ],
    ids=repr,
)
def test_what_fits_no_header_or_no_column_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match="is no DeliveryMessage in JSON: Expected"):
        decode(DeliveryMessage, encode(delivery(**change)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.sampled_from([EventMessage, DeliveryMessage]),
    st.dictionaries(
        st.sampled_from([*EventMessage.__struct_fields__, *DeliveryMessage.__struct_fields__]),
        json_values,
    ),
)
def test_whatever_a_field_holds_it_is_read_or_refused(kind: Any, change: dict[str, Any]) -> None:
    sent = {**json.loads(encode(event())), **json.loads(encode(delivery())), **change}
    try:
        read = decode(kind, json.dumps(sent).encode())
    except MessageError:
        return
    assert decode(kind, encode(read)) == read


@given(st.sampled_from([EventMessage, DeliveryMessage]), st.binary())
def test_whatever_bytes_arrive_they_are_read_or_refused(kind: Any, body: bytes) -> None:
    with pytest.raises(MessageError):
        decode(kind, body)


def test_text_that_utf8_cannot_say_is_refused_when_written() -> None:
    with pytest.raises(MessageError, match="cannot be encoded"):
        encode(event(body="\ud800"))


def test_the_label_of_a_delivery_is_read_without_the_rest_of_it() -> None:
    asked = delivery(id=UUID, listener=12, attempt=3, run="again", not_before=7.0)
    read = label(encode(asked))
    assert read is not None
    assert read.listener == 12
    assert read.key == (UUID, "again", 3)
    assert read.not_before == 7.0
    first = label(b'{"id": "%s", "listener": 12}' % UUID.encode())
    assert first is not None
    assert first.key == (UUID, "", 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"id": "%s", "listener": -1}' % UUID.encode(),
        b'{"id": "%s", "listener": "12"}' % UUID.encode(),
        b'{"id": "7", "listener": 12}',
    ],
)
def test_what_is_no_delivery_has_no_label(body: bytes) -> None:
    assert label(body) is None


def test_what_an_event_has_seen_is_read_without_the_rest_of_it() -> None:
    assert listeners_seen(encode(event(listeners=12))) == 12
    assert [listeners_seen(body) for body in (b"", b"{}", b'{"listeners": -1}')] == [0, 0, 0]

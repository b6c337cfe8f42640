"""Our frames against py-amqp's reading of them, and the other way round."""

import struct
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.method_framing import frame_handler
from amqp.serialization import loads
from hypothesis import given
from hypothesis import strategies as st

from durian.wire.acks import Ack
from durian.wire.broker import Outgoing
from durian.wire.buffers import Buffers
from durian.wire.frames import Deliveries, Frame, ack, publish

short = st.text(alphabet=st.characters(codec="utf-8"), max_size=60)
values = st.none() | st.booleans() | st.integers(0, 2**31) | short
headers = st.dictionaries(short, values, max_size=4)
bodies = st.builds(bytes.__mul__, st.binary(max_size=50), st.integers(0, 600))
messages = st.builds(
    Outgoing,
    exchange=short,
    key=short,
    body=bodies,
    message_id=short,
    headers=headers,
    mandatory=st.booleans(),
)
rooms = st.integers(4096, 9000)
"""AMQP 0-9-1 knows no smaller frames than 4,096 bytes."""


class Socket:
    """Gives what it was made with in the given pieces, and keeps what is sent."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.sent = b""

    def recv(self, most: int) -> bytes:
        return self.pieces.pop(0)

    def sendall(self, data: bytearray) -> None:
        self.sent += data


def frames(data: bytes, cut: int = 1 << 20) -> list[Frame]:
    """Return the frames in `data`, which arrives in pieces of `cut` bytes."""
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
    buffers = Buffers(SimpleNamespace(sock=Socket(list(pieces))))
    found: list[Frame] = []
    for _ in pieces:
        buffers.receive()
        found += buffers.frames()
    return found


def as_py_amqp_hears_it(data: bytes) -> list[tuple[tuple[int, int], bytes, Any]]:
    heard: list[tuple[tuple[int, int], bytes, Any]] = []

    def hear(channel: int, method: tuple[int, int], arguments: bytes, content: Any) -> None:
        heard.append((method, arguments, content))

    publishing = frozenset([(60, 40)])
    on_frame = frame_handler(SimpleNamespace(bytes_recv=0), hear, content_methods=publishing)
    for frame in frames(data):
        on_frame(frame)
    return heard


@given(messages, st.integers(1, 2**63), rooms)
def test_py_amqp_reads_what_is_published(message: Outgoing, number: int, room: int) -> None:
    ((method, arguments, content),) = as_py_amqp_hears_it(publish(message, number, 1, room))
    assert method == (60, 40)
    (_, exchange, key, mandatory, immediate), _ = loads("Bssbb", arguments, 4)
    assert (exchange, key) == (message.exchange, message.key)
    assert (mandatory, immediate) == (message.mandatory, False)
    assert (content.body or b"") == message.body
    assert content.properties == {
        "content_type": "application/json",
        "application_headers": message.headers,
        "delivery_mode": 2,
        "correlation_id": str(number),
        "message_id": message.message_id,
    }


@given(st.integers(1, 2**64 - 1), st.booleans())
def test_py_amqp_reads_what_is_acked(tag: int, multiple: bool) -> None:
    ((method, arguments, _),) = as_py_amqp_hears_it(ack(Ack(tag, multiple), 1))
    assert method == (60, 80)
    assert loads("Lb", arguments, 4)[0] == [tag, multiple]


def delivered(message: Outgoing, tag: int, redelivered: bool, room: int) -> bytes:
    """Return the frames by which a broker delivers `message`."""
    name = b"consumer"
    arguments = bytes([len(name)]) + name + struct.pack(">QB", tag, redelivered) + b"\x00\x00"
    method = struct.pack(">HH", 60, 60) + arguments
    start = struct.pack(">BHI", 1, 1, len(method)) + method + b"\xce"
    published = publish(message, 1, 1, room)
    (_, _, first), *_ = frames(published)
    return start + published[len(first) + 8 :]


@given(st.lists(st.tuples(messages, st.booleans()), max_size=5), rooms, st.integers(500, 20_000))
def test_deliveries_arrive_whole_however_they_are_cut(
    sent: list[tuple[Outgoing, bool]], room: int, cut: int
) -> None:
    heartbeat = struct.pack(">BHI", 8, 0, 0) + b"\xce"
    got: list[tuple[int, bool, Mapping[str, Any], bytes]] = []
    others: list[Frame] = []

    def elsewhere(frame: Frame) -> bool:
        others.append(frame)
        return True

    take = Deliveries(lambda *delivery: got.append(delivery), elsewhere)
    data = b"".join(
        delivered(message, tag, again, room) + heartbeat
        for tag, (message, again) in enumerate(sent, 1)
    )
    for frame in frames(data, cut):
        take(frame)
    assert [(tag, again, body) for tag, again, _, body in got] == [
        (tag, again, message.body) for tag, (message, again) in enumerate(sent, 1)
    ]
    for (message, _), (_, _, properties, _) in zip(sent, got, strict=True):
        assert properties["message_id"] == message.message_id
        assert properties["application_headers"] == message.headers
    assert others == [(8, 0, b"")] * len(sent)


@pytest.mark.parametrize("field", ["exchange", "key", "message_id"])
def test_what_is_too_long_for_amqp_is_refused(field: str) -> None:
    values = {"exchange": "", "key": "k", "body": b"{}", field: "é" * 128}
    with pytest.raises(ValueError, match="over 255 bytes"):
        publish(Outgoing(**values), 1, 1, 4096)  # type: ignore[arg-type]


def test_headers_that_fill_more_than_a_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="headers have over"):
        publish(Outgoing("", "k", b"", headers={"x": "y" * 5000}), 1, 1, 4096)


def _nested(depth: int) -> bytes:
    table = b""
    for _ in range(depth):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table
    return struct.pack(">I", len(table)) + table


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param(struct.pack(">HB3s", 0x8000, 3, b"\xff\xfe\xfd"), id="no text"),
        pytest.param(struct.pack(">HQ", 0x0040, 2**62), id="no time"),
        pytest.param(struct.pack(">HB", 0x8000, 200), id="cut off"),
        pytest.param(struct.pack(">HI", 0x2000, 9) + b"\x01aF", id="cut off amid a table"),
        pytest.param(struct.pack(">H", 0x2000) + _nested(3000), id="tables in tables"),
    ],
)
def test_a_message_whose_properties_cannot_be_read_is_delivered_without(properties: bytes) -> None:
    got: list[tuple[int, bool, Mapping[str, Any], bytes]] = []
    take = Deliveries(lambda *delivery: got.append(delivery), lambda frame: True)
    take((1, 1, struct.pack(">HHB", 60, 60, 0) + struct.pack(">QB", 7, 0) + b"\x00\x00"))
    take((2, 1, struct.pack(">HHQ", 60, 0, 2) + properties))
    take((3, 1, b"{}"))
    (delivery,) = got
    assert (delivery[0], delivery[3]) == (7, b"{}")


def test_a_frame_without_its_end_ends_the_connection() -> None:
    with pytest.raises(ConnectionError, match="without an end"):
        frames(struct.pack(">BHI", 8, 0, 0) + b"\x00")


def test_what_is_written_leaves_with_a_flush_or_when_much_waits() -> None:
    socket = Socket([])
    buffers = Buffers(SimpleNamespace(sock=socket))
    buffers.write(b"one")
    buffers.write(memoryview(b"two"))
    assert socket.sent == b""
    buffers.flush()
    assert socket.sent == b"onetwo"
    for _ in range(3):
        buffers.write(bytes(100_000))
    assert len(socket.sent) >= 200_000

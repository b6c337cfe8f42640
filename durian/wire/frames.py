"""AMQP 0-9-1 as bytes, for what happens by the thousand: publishing, delivering, acking.

py-amqp says and hears all the rest. What it does for any method and any argument takes it three
times as long as these few need (AMQP 0-9-1, sections 2.3 and 4.2).
"""

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from amqp.serialization import decode_properties_basic, dumps

from durian.wire.acks import Ack
from durian.wire.broker import Outgoing

Frame = tuple[int, int, bytes]
"""A frame as py-amqp has it: type, channel, payload."""

METHOD, HEADER, BODY = 1, 2, 3
OVERHEAD = 8
"""Bytes of a frame beside its payload."""
END = 0xCE

# Class 60 is Basic; its methods Publish, Deliver and Ack.
_PUBLISH, _DELIVER = struct.pack(">HHH", 60, 40, 0), struct.pack(">HH", 60, 60)
_ACK = struct.Struct(">BHIHHQBB")
START = struct.Struct(">BHI")
_HEADER = struct.Struct(">HHQH")
_SIZE = struct.Struct(">Q")
_TAG = struct.Struct(">QB")
# Content type, headers, delivery mode, correlation id, message id; in this order.
_PROPERTIES = 0x8000 | 0x2000 | 0x1000 | 0x0400 | 0x0080
_JSON = b"\x10application/json"
_NO_HEADERS = bytes(4)
_PERSISTENT = b"\x02"

Delivered = Callable[[int, bool, Mapping[str, Any], bytes], None]
"""Called with a message's tag, whether it is redelivered, its properties and its body."""


def publish(message: Outgoing, number: int, channel: int, frame_max: int) -> bytes:
    """Return the frames that publish `message`; `number`, as its correlation id, names it.

    Raises ValueError, or py-amqp's FrameSyntaxError, for what AMQP cannot carry.
    """
    header = b"".join(
        (
            _HEADER.pack(60, 0, len(message.body), _PROPERTIES),
            _JSON,
            dumps("F", [dict(message.headers)]) if message.headers else _NO_HEADERS,
            _PERSISTENT,
            _short(str(number)),
            _short(message.message_id),
        )
    )
    room = frame_max - OVERHEAD
    if len(header) > room:
        raise ValueError(f"its headers have over {room} bytes")
    parts = [message.body[at : at + room] for at in range(0, len(message.body), room)]
    return b"".join(
        (
            _publishing(message.exchange, message.key, message.mandatory, channel),
            _frame(HEADER, channel, header),
            *(_frame(BODY, channel, part) for part in parts),
        )
    )


def ack(what: Ack, channel: int) -> bytes:
    """Return the frame that says `what`."""
    return _ACK.pack(METHOD, channel, 13, 60, 80, what.tag, what.multiple, END)


class Deliveries:
    """Puts together the messages that a channel delivers; hands all other frames to `others`."""

    def __init__(self, delivered: Delivered, others: Callable[[Frame], bool]) -> None:
        self._delivered = delivered
        self._others = others
        self._open = False
        self._tag, self._redelivered = 0, False
        self._properties: Mapping[str, Any] = {}
        self._missing = 0
        self._parts: list[bytes] = []

    def __call__(self, frame: Frame) -> bool:
        """Take a frame and say whether it ended something, as py-amqp's own handlers do."""
        kind, _, payload = frame
        if kind == METHOD and payload.startswith(_DELIVER):
            return self._begin(payload)
        if not self._open or kind not in (HEADER, BODY):
            return self._others(frame)
        if kind == HEADER:
            self._properties = _properties(payload)
            (self._missing,) = _SIZE.unpack_from(payload, 4)
        else:
            self._parts.append(payload)
            self._missing -= len(payload)
        return self._missing <= 0 and self._end()

    def _begin(self, payload: bytes) -> bool:
        # The consumer's tag comes first; the exchange and the key, last, do not matter.
        self._tag, redelivered = _TAG.unpack_from(payload, 5 + payload[4])
        self._redelivered = bool(redelivered & 1)
        self._open, self._parts = True, []
        return False

    def _end(self) -> bool:
        self._open = False
        self._delivered(self._tag, self._redelivered, self._properties, b"".join(self._parts))
        return True


def _properties(payload: bytes) -> Mapping[str, Any]:
    try:
        properties: Mapping[str, Any] = decode_properties_basic(payload, 12)[0]
        return properties
    except Exception:
        # Whoever may publish may have put in what the broker lets through: text that is not UTF-8,
        # a time beyond the calendar, tables in tables a thousand deep. What py-amqp raises then is
        # anything. The message is judged by its body.
        return {}


@lru_cache(maxsize=1024)
def _publishing(exchange: str, key: str, mandatory: bool, channel: int) -> bytes:
    arguments = (_PUBLISH, _short(exchange), _short(key), b"\x01" if mandatory else b"\x00")
    return _frame(METHOD, channel, b"".join(arguments))


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return b"%b%b\xce" % (START.pack(kind, channel, len(payload)), payload)


def _short(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > 255:
        raise ValueError(f"{text[:40]!r}… has over 255 bytes")
    return bytes((len(encoded),)) + encoded

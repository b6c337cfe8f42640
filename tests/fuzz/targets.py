"""What is fuzzed: each target takes bytes, and raises nothing but what its callers expect."""

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from durian.errors import ConfigurationError, DeliveryError, InvalidFilter, MessageError
from durian.errors import InvalidSignature as Refused
from durian.guard import Guard
from durian.match import FilterIndex, parse, to_json
from durian.options import Options, from_config
from durian.signing import generate_key_pair, verify
from durian.wire.dead import read_autopsy
from durian.wire.frames import BODY, HEADER, METHOD, Deliveries
from durian.wire.messages import DeliveryMessage, EventMessage, decode, encode

SECRET, (_, PUBLIC_KEY) = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", generate_key_pair()
GUARD = Guard(["10.0.0.0/8"], ["hooks.internal"])


def filters(data: bytes) -> None:
    """A filter and a payload, as JSON on two lines: the index answers as the filter does."""
    first, _, second = data.partition(b"\n")
    form, payload = _json(first), _json(second)
    try:
        filter = parse(form)
    except InvalidFilter:
        return
    assert parse(to_json(filter)) == filter
    index = FilterIndex()
    index.add(1, filter)
    whole = payload if isinstance(payload, dict) else {"a": payload}
    assert (index.matching(whole) == [1]) is filter.matches(whole)


def messages(data: bytes) -> None:
    """A message of the broker's is read or refused, and what is read can be written."""
    kinds: list[Any] = [EventMessage, DeliveryMessage]
    for kind in kinds:
        with suppress(MessageError):
            read = decode(kind, data)
            assert decode(kind, encode(read)) == read
    read_autopsy({"durian-reason": data[:20], "x-death": data}, data)


def properties(data: bytes) -> None:
    """A message of the broker's is delivered, whatever its properties are."""
    got: list[bytes] = []
    take = Deliveries(lambda tag, redelivered, read, body: got.append(body), lambda frame: True)
    take((METHOD, 1, struct.pack(">HHBQBH", 60, 60, 0, 1, 0, 0)))
    take((HEADER, 1, struct.pack(">HHQ", 60, 0, 2) + data))
    take((BODY, 1, b"{}"))
    assert got == [b"{}"]


def signatures(data: bytes) -> None:
    """Headers of a stranger's, by line, and a body."""
    lines = [line.decode("utf-8", "surrogateescape") for line in data.split(b"\n", 3)]
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    with suppress(Refused):
        verify(dict(zip(names, lines, strict=False)), data, [SECRET, PUBLIC_KEY], now=1.0)
        raise AssertionError("a stranger's signature was accepted")


def options(data: bytes) -> None:
    """The configuration of a listener."""
    config = _json(data)
    if isinstance(config, dict):
        with suppress(ConfigurationError):
            from_config(config, Options())


def urls(data: bytes) -> None:
    """A URL is refused, or normal: what is normal stays as it is."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(DeliveryError):
        normal = GUARD.check_url(text).geturl()
        assert GUARD.check_url(normal).geturl() == normal


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (filters, messages, properties, signatures, options, urls)
}
SEEDS: dict[str, list[bytes]] = {
    "filters": [
        b'{"a": {"$gt": 1, "$lt": 5}, "$or": [{"b": [1, "x"]}, {"$not": {"c": {"$in": [null]}}}]}\n'
        b'{"a": [2, 1e9], "b": ["x", 1], "c": {"d": true}}',
        b'{"a": {"$regex": "^x+$"}, "b": {"$startsWith": "y"}, "c": {"$exist": false}}\n'
        b'{"a": "xx", "b": ["yy"]}',
        b'{"a": {"$contains": "x"}, "b": {"$nin": [[1]]}, "c": {"$eq": {"d": 1}}}\n{"a": "wxy"}',
    ],
    "messages": [
        b'{"version":"1.0","id":"00000000-0000-7000-8000-000000000001","hook":"a.b","body":"{}",'
        b'"envelope":"plain","created":1.0,"listeners":3}',
        b'{"version":"1.0","id":"00000000-0000-7000-8000-000000000001","hook":"a","listener":1,'
        b'"event":"00000000-0000-7000-8000-000000000001","body":"{}","created":1.0,"attempt":2}',
    ],
    "properties": [
        b"\x20\x00\x00\x00\x00\x07\x01aI\x00\x00\x00\x01",
        b"\xb4\x80\x10application/json\x00\x00\x00\x08\x01aS\x00\x00\x00\x01x\x02\x011\x011",
        b"\x20\x00\x00\x00\x00\x11\x01aF\x00\x00\x00\x0a\x01bA\x00\x00\x00\x03t\x01V",
    ],
    "signatures": [b"msg_1\n1\nv1,AAAA v1a,AAAA\n{}"],
    "options": [
        b'{"timeout": 3, "retry": {"schedule": [1, 2], "jitter": 0.1}, "headers": {"X": "y"}}'
    ],
    "urls": [b"https://example.com:8443/a?b=c#d", b"http://[::ffff:10.0.0.1]/", b"http://0x7f.1/"],
}

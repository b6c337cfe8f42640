"""A matcher on a real broker, fed with whatever a payload or a message can be."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from durian import roles
from durian.event import Hook
from durian.match import parse
from durian.models import Listener, ListenerClock
from durian.wire.dead import Autopsy, read_autopsy
from durian.wire.messages import DeliveryMessage, EventMessage, decode, encode
from tests.integration.site import registered
from tests.integration.wire.harness import put, take, wait_for, waiting
from tests.servers.free import wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.unit.match.strategies import Json

pytestmark = pytest.mark.django_db(transaction=True)

DEEP = 100_000
EXPLOSIVE = "(a|b)*a(a|b){400}c"
DELIVERED = {
    "10 MB of text": '{"a": "%s"}' % ("x" * 10_000_000),
    "no numbers": '{"a": [NaN, Infinity, -Infinity]}',
    "a number of 400 digits": '{"a": 1%s}' % ("0" * 400),
    "half a surrogate pair": r'{"a": "\ud800", "\udfff": 1}',
    "NUL": r'{"a": "\u0000", "\u0000": "\u0000"}',
    "100,000 keys": json.dumps({f"key {number}": number for number in range(100_000)}),
    "100,000 elements": json.dumps({"a": ["x"] * 100_000, "b": [{"c": 1}] * 10_000}),
    "a text to explode at": json.dumps({"a": "ab" * 120_000, "b": ["ab" * 500] * 200}),
    "a key twice": '{"a": 1, "a": 2}',
    "nothing": "{}",
}
DEAD = {
    "lists in lists": '{"a": %s}' % ("[" * DEEP + "]" * DEEP),
    "objects in objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "a number of 5,000 digits": '{"a": %s}' % ("9" * 5000),
    "a list": "[1]",
    "half": '{"a": ',
    "empty": "",
}
RAW: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"\xff\x00",
    "lists": b'{"version": "1.0", "more": ' + b"[" * DEEP,
    "a hook with a line break": b'{"version":"1.0","id":"%s","hook":"a\\r\\nHost: b","body":"{}",'
    b'"envelope":"plain","created":1,"listeners":0}' % str(uuid.UUID(int=1)).encode(),
}
FILTERS: list[Json] = [
    {"a": {"$regex": EXPLOSIVE}},
    {"b": {"$regex": "(a+)+$"}},
    {"a": {"$not": {"$contains": "\0"}}},
    {"a": {"$gt": 10**399}},
    {"$or": [{"a": {"$contains": str(number)}} for number in range(500)]},
    {"b": {"c": {"$in": [[1], {"d": 2}, None]}}},
    {"a": [{"$neq": number} for number in range(900)]},
    {"a": {"$eq": [[[[1]]]]}},
    {"$not": {"a": {"$startsWith": "x" * 1000}}},
]


@pytest.fixture
def role(
    settings: Settings, rabbitmq: PrivateRabbitMQ, amqp_prefix: str
) -> Iterator[roles.MatcherRole]:
    """A matcher that runs, beside a deliverers' queue that nobody empties."""
    settings.DURIAN = {
        **settings.DURIAN, "BROKER_URL": rabbitmq.url, "NAME_PREFIX": amqp_prefix
    }  # fmt: skip
    roles.broker().declare(public=False)
    role = roles.MatcherRole()
    failed: list[bool] = []
    with registered(Hook("person")):
        thread = roles.start_thread(role.run, "matcher", lambda: failed.append(True))
        yield role
        assert thread.is_alive()
        role.stop(within=10.0)
        thread.join(20.0)
    assert not thread.is_alive()
    assert failed == []


def event(body: str, **fields: Any) -> EventMessage:
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()), "hook": "person", "envelope": "plain", "created": 1.0,
        "listeners": ListenerClock.now(),
    }  # fmt: skip
    return EventMessage(body=body, **values | fields)


def test_a_matcher_outlives_every_payload_and_every_message(role: roles.MatcherRole) -> None:
    everything = Listener.objects.create(hook="person", url="http://where.joe/")
    for form in FILTERS:
        parse(form)
        Listener.objects.create(hook="person", url="http://where.joe/", match=storable(form))
    good: dict[str, str] = {}
    messages: list[bytes] = []
    for body in DELIVERED.values():
        one = event(body)
        good[one.id] = body
        messages.append(encode(one))
    bad = [encode(event(body)) for body in DEAD.values()] + [*RAW.values()]
    bad.append(encode(event("{}", envelope="gift")))
    last = event('{"a": "the last"}')
    put(roles.broker(), roles.broker().topology.match, [*bad, *messages, encode(last)])

    names = roles.broker().topology
    wait_for(roles.broker(), names.dead, len(bad))
    reasons = [autopsy(one) for one in take(roles.broker(), names.dead, len(bad))]
    assert {one.reason for one in reasons} == {"malformed"}
    assert all(one.detail.startswith("The message ") for one in reasons)
    seen: dict[str, str] = {}

    def all_are_there() -> bool:
        for incoming in take(roles.broker(), names.deliver, waiting(roles.broker(), names.deliver)):
            delivery = decode(DeliveryMessage, incoming.body)
            if delivery.listener == everything.pk:
                seen[delivery.event] = delivery.body
        return len(seen) > len(good)

    wait_until(all_are_there, 60, "every event reaches who wants all", 0.5)
    assert seen == {**good, last.id: last.body}
    assert waiting(roles.broker(), names.match) == 0
    assert waiting(roles.broker(), names.dead) == 0


def storable(form: Json) -> Json:
    """The filter without what PostgreSQL's JSON cannot hold."""
    return json.loads(json.dumps(form).replace(r"\u0000", "nul"))


def autopsy(incoming: Any) -> Autopsy:
    return read_autopsy(incoming.headers, incoming.body)

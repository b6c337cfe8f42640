import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from durian.ids import delivery_id, new_event_id
from durian.matcher import Matcher, Take
from durian.wire.broker import Incoming, Outgoing
from durian.wire.messages import DeliveryMessage, EventMessage, decode, encode
from durian.wire.outcome import Outcome
from durian.wire.topology import Topology

NAMES = Topology("shop.")
BODY = '{"type": "person", "timestamp": "2026-05-01", "data": {"name": "Joe"}}'


class Everybody:
    """Listeners that want all, and note what they are asked."""

    def __init__(self, found: list[int]) -> None:
        self.found = found
        self.caught_up: list[int] = []
        self.asked: list[tuple[str, object]] = []

    def is_behind(self, version: int) -> bool:
        return version > 8

    def catch_up(self, version: int) -> None:
        self.caught_up.append(version)

    def matching(self, hook: str, payload: object) -> list[int]:
        self.asked.append((hook, payload))
        return self.found


def event(body: str = BODY, envelope: str = "standard") -> EventMessage:
    return EventMessage(
        id=str(new_event_id()),
        hook="person",
        body=body,
        envelope=envelope,
        created=12.5,
        listeners=9,
    )


def match(listeners: Everybody, body: bytes, feed: Take | None = None) -> Outcome:
    answers: list[Outcome] = []
    Matcher(listeners, NAMES, feed)(Incoming(1, body, {}, False, NAMES.match), answers.append)
    (outcome,) = answers
    return outcome


@given(found=st.lists(st.integers(1, 2**40), unique=True, max_size=5))
def test_each_listener_gets_one_delivery_with_the_same_text(found: list[int]) -> None:
    raised = event()
    outcome = match(Everybody(found), encode(raised))
    made = [decode(DeliveryMessage, message.body) for message in outcome.publish]
    assert [delivery.listener for delivery in made] == found
    assert all(message.key == NAMES.deliver for message in outcome.publish)
    for message, delivery in zip(outcome.publish, made, strict=True):
        assert message.mandatory
        assert message.message_id == delivery.id == delivery_id(raised.id, delivery.listener)
        assert (delivery.event, delivery.hook, delivery.body) == (raised.id, "person", BODY)
        assert (delivery.created, delivery.attempt) == (12.5, 1)


def test_the_listeners_are_fresh_before_they_are_asked_about_the_data() -> None:
    listeners = Everybody([])
    matcher = Matcher(listeners, NAMES)
    earlier, later, neither = (
        Incoming(1, body, {}, False, NAMES.match)
        for body in (
            encode(msgspec.structs.replace(event(), listeners=8)),
            encode(event()),
            b"not an event",
        )
    )
    assert [matcher.wants(one) for one in (earlier, later, neither)] == [False, True, False]
    matcher.read([earlier, later, neither])
    assert listeners.caught_up == [9]
    assert list(match(listeners, encode(event())).publish) == []
    assert listeners.asked == [("person", {"name": "Joe"})]


def test_others_get_the_body_once_the_deliveries_are_confirmed() -> None:
    fed: list[Outgoing] = []
    outcome = match(Everybody([1]), encode(event()), feed=lambda message, done: fed.append(message))
    assert (len(outcome.publish), fed) == (1, [])
    assert outcome.record is not None
    outcome.record(lambda: None)
    (message,) = fed
    assert (message.exchange, message.key) == (NAMES.public, "person")
    assert json.loads(message.body) == json.loads(BODY)
    assert not message.mandatory

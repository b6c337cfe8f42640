import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durian.wire.broker import Incoming
from durian.wire.dead import Autopsy, letter, read_autopsy
from durian.wire.messages import encode
from durian.wire.topology import Topology
from tests.unit.wire.make import delivery, event

NAMES = Topology("a.")


def incoming(body: bytes = b"{}") -> Incoming:
    return Incoming(1, body, {}, False, NAMES.deliver, "some-id")


autopsies = st.builds(
    Autopsy,
    reason=st.text(min_size=1, max_size=50),
    detail=st.text(max_size=1000),
    event=st.uuids().map(str),
    hook=st.text(min_size=1, max_size=200),
    listener=st.integers(1, 2**31),
    attempts=st.integers(0, 100),
    last_status=st.integers(0, 599),
    first_attempt=st.floats(0, 4e9),
    last_attempt=st.floats(0, 4e9),
    died=st.floats(1, 4e9),
)


@given(autopsies, st.binary())
def test_what_is_written_is_read(autopsy: Autopsy, body: bytes) -> None:
    message = letter(NAMES, incoming(body), autopsy)
    assert (message.exchange, message.key, message.body) == ("", NAMES.dead, body)
    assert read_autopsy(message.headers, body) == replace(autopsy, source=NAMES.deliver)


def test_each_letter_has_an_id_of_its_own() -> None:
    ids = {letter(NAMES, incoming(), Autopsy("gone")).message_id for _ in range(100)}
    assert len(ids) == 100


def test_a_letter_can_be_written_whatever_happened() -> None:
    hostile = Autopsy("gone", detail="\ud800" + "x" * 10**6, hook="h" * 10**6, listener=10**300)
    headers = letter(NAMES, incoming(), hostile).headers
    assert all(len(text.encode()) <= 4000 for text in headers.values())


def test_a_letter_without_a_time_of_death_died_now() -> None:
    headers = letter(NAMES, incoming(), Autopsy("gone")).headers
    assert abs(read_autopsy(headers, b"").died - time.time()) < 60


def test_what_the_headers_leave_out_is_in_the_body() -> None:
    message = delivery()
    read = read_autopsy({"durian-reason": "handler-error"}, encode(message))
    assert (read.event, read.hook, read.listener) == (message.event, "order.paid", 7)
    happened = event()
    assert read_autopsy({"durian-reason": "malformed"}, encode(happened)).event == happened.id


def test_no_listener_has_a_number_below_one() -> None:
    read = read_autopsy({"durian-reason": "malformed"}, b'{"listener": -5, "hook": "order.paid"}')
    assert (read.listener, read.hook) == (0, "order.paid")


@pytest.fixture(params=["UTC", "Asia/Tokyo"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_a_letter_that_the_broker_buried_is_readable() -> None:
    headers = {
        "x-death": [
            # py-amqp gives the time in UTC, whatever the zone of the machine.
            {"reason": "delivery_limit", "queue": NAMES.deliver, "time": datetime(2026, 1, 2)},
            {"reason": "expired", "queue": NAMES.delay(4.0), "time": datetime(2026, 1, 1)},
        ]
    }
    read = read_autopsy(headers, encode(delivery()))
    assert (read.reason, read.source, read.listener) == ("delivery-limit", NAMES.deliver, 7)
    assert read.died == 1_767_312_000.0


garbage = st.one_of(st.none(), st.text(), st.integers(), st.binary(), st.lists(st.none()))


@given(
    st.dictionaries(
        st.sampled_from(
            ["durian-reason", "durian-died", "durian-listener", "durian-attempts", "x-death"]
        ),
        st.one_of(garbage, st.lists(st.dictionaries(st.sampled_from(["reason", "time"]), garbage))),
    ),
    st.one_of(st.binary(), st.just(b"[" * 50_000)),
)
def test_no_header_and_no_body_makes_a_letter_unreadable(
    headers: dict[str, object], body: bytes
) -> None:
    assert isinstance(read_autopsy(headers, body), Autopsy)

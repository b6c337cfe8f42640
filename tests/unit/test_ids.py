import time
import uuid
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from durian.ids import delivery_id, first_event_id, new_event_id, raised_at


def in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=timezone.utc)


def test_an_event_id_is_a_uuid_of_version_7_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = new_event_id()
    after = time.time_ns() // 1_000_000
    assert before <= made.int >> 80 <= after
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_event_ids_are_unique_and_ascend() -> None:
    made = [new_event_id() for _ in range(2000)]
    assert len(set(made)) == 2000
    # Two within a quarter of a microsecond are in the order of chance.
    moments = [one.int >> 64 for one in made]
    assert moments == sorted(moments)


@given(moment=st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1)).map(in_utc))
def test_the_first_event_id_of_a_moment_is_below_all_others_of_it(moment: datetime) -> None:
    first = first_event_id(moment)
    assert (first.version, first.variant) == (7, uuid.RFC_4122)
    assert abs(raised_at(first) - moment) <= timedelta(milliseconds=1)
    assert first < first_event_id(moment + timedelta(milliseconds=2))


def test_the_first_event_id_of_a_moment_before_1970_is_below_all_that_are_made() -> None:
    moment = datetime(1900, 1, 1, tzinfo=timezone.utc)
    assert first_event_id(moment) == first_event_id(datetime(1970, 1, 1, tzinfo=timezone.utc))


def test_an_event_id_lies_between_the_first_ones_around_it() -> None:
    before = first_event_id(datetime.now(timezone.utc))
    made = new_event_id()
    after = first_event_id(datetime.now(timezone.utc) + timedelta(milliseconds=1))
    assert before <= made < after


@given(event=st.uuids(), listener=st.integers(1), other=st.integers(1))
def test_a_delivery_has_one_id_for_each_event_and_listener(
    event: uuid.UUID, listener: int, other: int
) -> None:
    same = delivery_id(str(event), listener) == delivery_id(str(event), other)
    assert same == (listener == other)


@given(event=st.uuids(), listener=st.integers(1))
def test_a_delivery_id_is_a_uuid_of_version_5(event: uuid.UUID, listener: int) -> None:
    assert delivery_id(str(event), listener) == str(uuid.uuid5(event, str(listener)))

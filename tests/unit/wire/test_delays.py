from hypothesis import given
from hypothesis import strategies as st

from durian.wire.broker import Outgoing
from durian.wire.delays import EARLY_SECONDS, LATE_PART, SET_SECONDS, delayed, still_early
from durian.wire.messages import DeliveryMessage, decode
from durian.wire.topology import LADDER, Topology, step_over
from tests.unit.wire.make import delivery

NAMES = Topology("a.")
SECONDS_OF = {NAMES.delay(step): step for step in LADDER}
DAY = 86_400.0


def rest(message: Outgoing, began: float, late: float) -> tuple[float, int]:
    """Walk down the ladder as the broker does; return when the delivery is on, and the rests."""
    now, rests = began, 0
    resting: Outgoing | None = message
    while resting is not None:
        assert resting.exchange == ""
        now += SECONDS_OF[resting.key] + late
        rests += 1
        resting = still_early(NAMES, decode(DeliveryMessage, resting.body), now)
    return now, rests


@given(st.floats(0, 7 * DAY), st.floats(0, 4e9), st.floats(0, 0.1))
def test_any_delay_is_kept_in_a_few_rests(seconds: float, began: float, late: float) -> None:
    now, rests = rest(delayed(NAMES, delivery(), seconds, began), began, late)
    waited = now - began
    # A delay below the smallest step waits for that one; clocks of this size tell microseconds.
    assert waited >= seconds - EARLY_SECONDS - 1e-3
    assert waited <= seconds + max(LADDER[0], 2 * LATE_PART * seconds) + late * rests + 1e-3
    assert rests <= 7 + seconds // LADDER[-1]


@given(st.floats(0, DAY))
def test_what_is_delivered_is_what_was_delayed(seconds: float) -> None:
    message = delivery(attempt=3)
    resting = delayed(NAMES, message, seconds, now=1000.0, reserved=True)
    back = decode(DeliveryMessage, resting.body)
    assert (back.id, back.event, back.body, back.attempt) == (
        message.id,
        message.event,
        message.body,
        3,
    )
    assert back.reserved
    assert back.not_before == 1000.0 + seconds
    assert resting.message_id == message.id


@given(st.floats(0, DAY), st.floats(SET_SECONDS + 1, 10 * 365 * DAY))
def test_what_a_clock_that_was_set_since_has_delayed_does_not_rest_for_ever(
    seconds: float, ahead: float
) -> None:
    now, _ = rest(delayed(NAMES, delivery(), seconds, 1000.0 + ahead), 1000.0, 0.0)
    longest = max(seconds, LADDER[0]) + seconds + SET_SECONDS
    assert now - 1000.0 <= longest * (1 + 2 * LATE_PART) + LADDER[0]


def test_clocks_that_differ_by_seconds_are_no_reason_to_be_early() -> None:
    back = decode(DeliveryMessage, delayed(NAMES, delivery(), 5.0, 1030.0).body)
    assert still_early(NAMES, back, 1004.0)


@given(st.floats(0, LADDER[-1]), st.floats(0, 4e9), st.floats(0, 0.1))
def test_who_need_not_be_exact_rests_once(seconds: float, began: float, late: float) -> None:
    roughly = step_over(seconds)
    assert seconds <= roughly <= max(2 * seconds, LADDER[0])
    assert rest(delayed(NAMES, delivery(), roughly, began), began, late)[1] == 1


def test_a_step_that_is_hardly_longer_spares_all_other_rests() -> None:
    assert rest(delayed(NAMES, delivery(), 7.9, 1000.0), 1000.0, 0.0) == (1008.0, 1)


def test_a_delivery_that_was_never_delayed_is_on_at_once() -> None:
    assert still_early(NAMES, delivery(), now=0.0) is None

"""Listeners that change while the processes run."""

import json
import time

import pytest

from tests.acceptance.conftest import Subscribe
from tests.acceptance.shop import Shop, order
from tests.servers.free import wait_until
from tests.servers.receiver import Answer, Receiver

EFFECTIVE_SECONDS = 1.0
"""How soon a change of a listener takes effect in every deliverer."""
FRESH = range(1000, 1050)


def test_a_listener_that_is_saved_just_before_an_event_never_misses_it(
    shop: Shop, receiver: Receiver
) -> None:
    with shop.running("matcher"), shop.running("matcher"), shop.running("deliverer"):
        for number in FRESH:
            url = receiver.url(f"/fresh/{number}")
            match = {"number": number}
            shop.do("subscribe_and_place", order=order(number), url=url, match=match)
        expected = {f"/fresh/{number}" for number in FRESH}
        receiver.wait_for(lambda requests: {one.path for one in requests} == expected, 20)


def test_a_new_url_is_called_by_every_deliverer_within_a_second(
    shop: Shop, receiver: Receiver, subscribe: Subscribe
) -> None:
    listener = subscribe("/old", match={"customer": "Joe"})
    with shop.running("matcher"), shop.running("deliverer"), shop.running("deliverer"):
        shop.do("place", orders=[order(number) for number in range(40)])
        receiver.wait_for(40)
        shop.do("change", listener=listener, url=receiver.url("/new"))
        # Both have just read the old one; this is what they promise, not a guess.
        time.sleep(EFFECTIVE_SECONDS)
        shop.do("place", orders=[order(number) for number in range(40, 80)])
        receiver.wait_for(80)
    assert len(receiver.at("/old")) == 40
    assert len(receiver.at("/new")) == 40


def test_a_pause_is_in_effect_within_a_second(
    shop: Shop, receiver: Receiver, subscribe: Subscribe
) -> None:
    paused, other = subscribe("/paused"), subscribe("/other")
    # The first answer is a failure, so that a retry waits in the broker during the pause.
    receiver.answer("/paused", Answer(503))
    with shop.running("matcher"), shop.running("deliverer"):
        shop.do("place", orders=[order(1)])
        receiver.wait_for(lambda requests: len(receiver.at("/paused")) >= 1)
        shop.do("change", listener=paused, state="paused")
        wait_until(lambda: _last_outcome(shop, paused) == "cancelled", 10, "the retry is off")
        before = len(receiver.at("/paused"))
        shop.do("place", orders=[order(2)])
        wait_until(lambda: len(shop.do("attempts", listener=other)) == 2, 10, "others go on")
        receiver.answer("/paused", Answer())
        shop.do("change", listener=paused, state="active")
        shop.do("place", orders=[order(3)])
        wait_until(lambda: _last_outcome(shop, paused) == "delivered", 10, "it goes on")
    (after,) = receiver.at("/paused")[before:]
    assert json.loads(after.body)["number"] == 3


@pytest.mark.parametrize("fate", ["paused", "disabled", "deleted"])
def test_what_waits_for_a_listener_that_is_gone_is_cancelled_without_a_post(
    shop: Shop, receiver: Receiver, subscribe: Subscribe, fate: str
) -> None:
    listener = subscribe()
    with shop.running("matcher"):
        shop.do("place", orders=[order(1)])
        wait_until(lambda: shop.waiting("deliver") == 1, 10, "it waits for a deliverer")
    if fate == "deleted":
        shop.do("delete", listener=listener)
    else:
        shop.do("change", listener=listener, state=fate)
    with shop.running("deliverer"):
        wait_until(lambda: shop.do("attempts", listener=listener), 10, "it is logged")
    (attempt,) = shop.do("attempts", listener=listener)
    assert attempt["outcome"] == "cancelled"
    assert attempt["error"] == f"The listener is {fate}."
    assert receiver.requests == ()
    assert shop.waiting("deliver") == 0


def test_a_receiver_that_is_gone_disables_its_listener_and_the_owner_hears_of_it(
    shop: Shop, receiver: Receiver, subscribe: Subscribe
) -> None:
    listener = subscribe()
    receiver.answer("/", Answer(410))
    with shop.running("matcher"), shop.running("deliverer") as deliverer:
        shop.do("place", orders=[order(1)])
        told = f"The owner of listener {listener} is told: The receiver answered 410 Gone"
        wait_until(lambda: told in deliverer.log_tail(), 10, "the signal was sent")
        found = shop.do("look", listener=listener)
        assert found["state"] == "disabled"
        assert "410 Gone" in found["reason"]
        assert f"Listener {listener} " in deliverer.log_tail()
        shop.do("place", orders=[order(2)])
        wait_until(lambda: shop.waiting("match") == 0, 10, "the next one was matched")
    assert len(receiver.requests) == 1
    assert '"gone"' in shop.run("dead", "list", "--json", "--listener", str(listener)).stdout


def _last_outcome(shop: Shop, listener: int) -> str:
    attempts = shop.do("attempts", listener=listener)
    return attempts[-1]["outcome"] if attempts else ""

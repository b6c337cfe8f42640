"""The roles as processes: how they end, how they share the work, what they say."""

import signal
from pathlib import Path

import pytest

from tests.acceptance.conftest import Subscribe
from tests.acceptance.shop import Shop, order
from tests.servers.free import wait_until
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.servers.receiver import Answer, Receiver

HANGING = Answer(delay=60)


def terminate(process: ServerProcess, within: float) -> None:
    """Ask a role to end as systemd would; it has to, with code 0, within so many seconds."""
    process.end(signal.SIGTERM, timeout=within)
    assert process.returncode == 0, process.log_tail()
    assert "Stopped." in process.log_tail()


def numbers(first: int, count: int) -> list[dict[str, object]]:
    return [order(number) for number in range(first, first + count)]


def outcomes(shop: Shop, listener: int) -> list[str]:
    return [attempt["outcome"] for attempt in shop.do("attempts", listener=listener)]


def test_a_deliverer_finishes_what_is_in_flight_before_it_ends(
    shop: Shop, receiver: Receiver, subscribe: Subscribe
) -> None:
    listener = subscribe()
    receiver.answer("/", Answer(delay=1.5))
    with shop.running("matcher"), shop.running("deliverer") as deliverer:
        shop.do("place", orders=numbers(0, 5))
        receiver.wait_for(5)
        terminate(deliverer, within=10)
        assert outcomes(shop, listener) == ["delivered"] * 5
        shop.do("place", orders=numbers(5, 1))
        wait_until(lambda: shop.waiting("deliver") == 1, 10, "the new one alone waits")
        assert len(receiver.requests) == 5
        with shop.running("deliverer"):
            receiver.wait_for(6)
            wait_until(lambda: len(outcomes(shop, listener)) == 6, 10, "it is logged")


def test_a_deliverer_gives_back_what_it_could_not_finish_in_time(
    shop: Shop, receiver: Receiver, subscribe: Subscribe
) -> None:
    listener = subscribe(timeout=30)
    receiver.answer("/", HANGING)
    with shop.running("matcher"):
        with shop.running("deliverer", SHUTDOWN_SECONDS=1) as deliverer:
            shop.do("place", orders=numbers(0, 1))
            receiver.wait_for(1)
            terminate(deliverer, within=5)
        assert outcomes(shop, listener) == []
        receiver.answer("/", Answer())
        with shop.running("deliverer"):
            first, again = receiver.wait_for(2)
            wait_until(lambda: outcomes(shop, listener) == ["delivered"], 10, "it is logged")
    for name in ("webhook-id", "durian-delivery", "durian-attempt"):
        assert first.headers[name] == again.headers[name]
    assert first.body == again.body


def test_a_matcher_that_ends_leaves_the_rest_to_another(
    shop: Shop, receiver: Receiver, subscribe: Subscribe
) -> None:
    subscribe()
    with shop.running("deliverer"):
        with shop.running("matcher") as matcher:
            shop.do("place", orders=numbers(0, 300))
            receiver.wait_for(1)
            terminate(matcher, within=10)
        with shop.running("matcher"):
            receiver.wait_for(
                lambda requests: len({one.headers["webhook-id"] for one in requests}) == 300, 30
            )
    assert len(receiver.requests) == 300, "a matcher that ends in order causes no repeats"


def test_a_publisher_of_its_own_drains_the_outbox_and_ends(
    shop: Shop, receiver: Receiver, subscribe: Subscribe
) -> None:
    subscribe()
    apart = Shop(shop.folder, shop.database, **{**shop.durian, "RELAY": "process"})
    with apart.web(), apart.running("publisher", says="Running: publisher") as publisher:
        apart.do("place", orders=numbers(0, 20))
        wait_until(lambda: shop.waiting("match") == 20, 15, "all are with the broker")
        terminate(publisher, within=10)
        apart.do("place", orders=numbers(20, 1))
    assert shop.waiting("match") == 20, "nobody relays any more"
    with shop.running("all", says="durian.deliver") as everything:
        receiver.wait_for(21, timeout=20)
        terminate(everything, within=15)


def test_two_matchers_share_the_work(shop: Shop, receiver: Receiver, subscribe: Subscribe) -> None:
    with shop.running("matcher") as one, shop.running("matcher") as two, shop.running("deliverer"):
        subscribe("/one", hook="who.matches", match={"pid": one.pid})
        subscribe("/two", hook="who.matches", match={"pid": two.pid})
        shop.do("ask_who_matches", times=200)
        receiver.wait_for(200, timeout=20)
    shares = len(receiver.at("/one")), len(receiver.at("/two"))
    assert sum(shares) == 200
    assert min(shares) > 0


@pytest.mark.parametrize("role", ["matcher", "deliverer"])
def test_a_wrong_password_is_said_without_it_and_tried_again(
    shop: Shop, rabbitmq: PrivateRabbitMQ, role: str
) -> None:
    url = rabbitmq.url.replace("guest:guest", "guest:hush-hush")
    with shop.running(role, says="Cannot consume", BROKER_URL=url) as process:
        log = Path(process.log)
        wait_until(lambda: log.read_text().count("Cannot consume") > 2, 20, "it tries again")
        assert "ACCESS_REFUSED" in log.read_text()
        assert f"127.0.0.1:{rabbitmq.port}" in log.read_text()
        terminate(process, within=10)
        assert "hush" not in log.read_text()

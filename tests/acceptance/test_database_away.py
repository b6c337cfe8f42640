"""A database that goes away and comes back: nothing is lost, and the roles go on by themselves."""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.shop import Shop, order
from tests.servers.free import wait_until
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.servers.receiver import Answer, Received, Receiver


@pytest.fixture
def database() -> Iterator[PrivatePostgreSQL]:
    """A server of the test's own, to be killed."""
    server = PrivatePostgreSQL()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_shop(
    rabbitmq: PrivateRabbitMQ, database: PrivatePostgreSQL, tmp_path: Path
) -> Iterator[Shop]:
    """A shop on that server; its roles are left running when the database dies."""
    prefix = f"away-{uuid.uuid4().hex[:8]}."
    settings = database.create_database("shop")
    shop = Shop(tmp_path, settings, BROKER_URL=rabbitmq.url, NAME_PREFIX=prefix)
    shop.prepare()
    with shop.web():
        yield shop
    rabbitmq.delete_queues(prefix)


def ids(requests: Sequence[Received]) -> set[str]:
    return {request.headers["webhook-id"] for request in requests}


def test_the_roles_wait_for_the_database_and_go_on(
    own_shop: Shop, database: PrivatePostgreSQL, receiver: Receiver
) -> None:
    # Slow, so that the database dies in the middle; failing once, so that retries are under way.
    receiver.answer("/", _fail_first)
    listener = own_shop.do("subscribe", url=receiver.url())["id"]
    with own_shop.running("matcher") as matcher, own_shop.running("deliverer") as deliverer:
        own_shop.do("place", orders=[order(number) for number in range(200)])
        receiver.wait_for(20)
        database.kill()
        wait_until(lambda: "database" in deliverer.log_tail(), 20, "the deliverer says so")
        database.start()

        def delivered() -> int:
            attempts = own_shop.do("attempts", listener=listener)
            return len({one["event"] for one in attempts if one["outcome"] == "delivered"})

        wait_until(lambda: delivered() == 200, 40, "all is delivered and logged", every=0.5)
        assert matcher.running
        assert deliverer.running
    assert len(ids(receiver.requests)) == 200
    for queue in ("match", "deliver", "dead"):
        assert own_shop.waiting(queue) == 0


def test_who_has_to_be_looked_up_in_a_locked_table_keeps_nobody_else_waiting(
    own_shop: Shop, database: PrivatePostgreSQL, receiver: Receiver
) -> None:
    def place(*customers: str) -> None:
        orders = [order(number, customer=name) for number, name in enumerate(customers)]
        own_shop.do("place", orders=orders)

    own_shop.do("subscribe", url=receiver.url("/known"), match={"customer": "Joe"})
    own_shop.do("subscribe", url=receiver.url("/new"), match={"customer": "Ann"})
    with own_shop.running("matcher"), own_shop.running("deliverer"):
        place("Joe")
        receiver.wait_for(1)
        with psycopg.connect(database.url_of("shop")) as migration:
            migration.execute("LOCK TABLE durian_listener IN ACCESS EXCLUSIVE MODE")
            place("Ann", *["Joe"] * 50)
            receiver.wait_for(51)
            place(*["Joe"] * 50)
            receiver.wait_for(101)
            assert not receiver.at("/new")
            migration.commit()
        receiver.wait_for(102)
        assert len(receiver.at("/new")) == 1


def _fail_first(request: Received) -> Answer:
    # Not 503: after five of these the receiver would count as away, and be left alone.
    return Answer(500 if request.headers["durian-attempt"] == "1" else 200, delay=0.1)

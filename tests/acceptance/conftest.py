"""Fixtures of the acceptance tests: the tests' shop on RabbitMQ and PostgreSQL."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.acceptance.shop import Shop
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.servers.receiver import Receiver

Subscribe = Callable[..., int]
"""Makes a listener at a path of the test's receiver, and returns its id."""


@pytest.fixture(scope="module")
def shop(
    rabbitmq: PrivateRabbitMQ,
    postgresql: PrivatePostgreSQL,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """A shop with tables, queues and a web process, for all tests of a module; no roles run."""
    name = f"shop-{uuid.uuid4().hex[:8]}"
    database = postgresql.create_database(name)
    shop = Shop(
        tmp_path_factory.mktemp(name), database, BROKER_URL=rabbitmq.url, NAME_PREFIX=f"{name}."
    )
    shop.prepare()
    with shop.web(workers=2):
        yield shop
    rabbitmq.delete_queues(name)


@pytest.fixture
def subscribe(shop: Shop, receiver: Receiver) -> Iterator[Subscribe]:
    """Make listeners that are deleted after the test: `subscribe("/path", match=…)`."""
    made: list[int] = []

    def make(path: str = "/", **fields: Any) -> int:
        made.append(shop.do("subscribe", url=receiver.url(path), **fields)["id"])
        return made[-1]

    yield make
    for listener in made:
        shop.do("delete", listener=listener)

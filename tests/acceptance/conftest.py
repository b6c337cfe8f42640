"""Fixtures of the acceptance tests: the tests' shop on RabbitMQ and PostgreSQL."""

import uuid
from collections.abc import Iterator

import pytest

from tests.acceptance.shop import Shop
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.rabbitmq import PrivateRabbitMQ


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

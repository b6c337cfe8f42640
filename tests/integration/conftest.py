"""Every test here that is marked with django_db runs on PostgreSQL and on SQLite."""

from collections.abc import Iterator

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connections

from tests.servers.rabbitmq import PrivateRabbitMQ


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses the databases with the one and with the other as the default."""
    if metafunc.definition.get_closest_marker("django_db"):
        metafunc.parametrize(
            "default_database", ["postgresql", "sqlite"], indirect=True, scope="session"
        )


@pytest.fixture(scope="session", autouse=True)
def default_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind of database that is `default`; the alias `other` stands for the other kind."""
    kind: str = getattr(request, "param", "postgresql")
    if kind == "postgresql":
        yield kind
    else:
        request.getfixturevalue("django_db_setup")
        _swap()
        yield kind
        _swap()


@pytest.fixture
def small_messages(rabbitmq: PrivateRabbitMQ) -> Iterator[None]:
    """RabbitMQ takes messages of up to 2,000 bytes only."""
    set_to = "application:set_env(rabbit, max_message_size, {})."
    rabbitmq.ctl("eval", set_to.format(2000))
    yield
    rabbitmq.ctl("eval", set_to.format(134_217_728))


def _swap() -> None:
    for alias in connections:
        connections[alias].close()
        del connections[alias]
    aliases = connections.settings
    aliases["default"], aliases["other"] = aliases["other"], aliases["default"]
    # It remembers the ids that the rows have in the database called default.
    ContentType.objects.clear_cache()

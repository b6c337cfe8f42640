"""Fixtures for all tests: private servers, started when the first test asks for them."""

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings
from django.test.utils import setup_databases, teardown_databases
from pytest_django.plugin import DjangoDbBlocker

from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.servers.receiver import Receiver


def pytest_configure() -> None:
    """Let `timeout` and CI end the private servers, as Ctrl-C does; hypothesis times no example."""
    # SIGINT too: what a shell starts in the background, and all that this starts, is deaf to it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    # On a machine with much to do any of them takes long at times.
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in CI in which a test was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[PrivateRabbitMQ]:
    """A RabbitMQ node shared by all tests: take `amqp_prefix` before every name on it."""
    server = PrivateRabbitMQ()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def amqp_prefix(rabbitmq: PrivateRabbitMQ) -> Iterator[str]:
    """A prefix for names on the shared node; the queues that bear it are deleted afterwards."""
    prefix = f"test-{uuid.uuid4().hex[:8]}."
    yield prefix
    # A test that fails after it has killed the node fails alone.
    if not rabbitmq.running:
        rabbitmq.start()
    rabbitmq.delete_queues(prefix)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PrivatePostgreSQL]:
    """A PostgreSQL server shared by all tests."""
    server = PrivatePostgreSQL()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An HTTP receiver of the test's own."""
    server = Receiver()
    yield server
    server.close()


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_blocker: DjangoDbBlocker,
    postgresql: PrivatePostgreSQL,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Both databases of the settings, created anew, for tests marked with django_db."""
    settings.DATABASES["default"].update(postgresql.settings)
    # A file, since threads cannot share SQLite's memory without sharing its locks.
    sqlite: Path = tmp_path_factory.mktemp("sqlite") / "test.sqlite3"
    settings.DATABASES["other"]["TEST"]["NAME"] = str(sqlite)
    with django_db_blocker.unblock():
        created = setup_databases(verbosity=0, interactive=False)
    yield
    with django_db_blocker.unblock():
        teardown_databases(created, verbosity=0)

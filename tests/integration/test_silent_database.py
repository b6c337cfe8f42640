"""A database whose machine is gone without a word: whoever waits for it finds out."""

import threading
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connections
from pytest_django import DjangoDbBlocker

from durian.database import give_up_on_silence
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.tcp_proxy import TcpProxy

SECONDS = 6
MORE_THAN_BUFFERS_TAKE = "x" * 50_000_000


@pytest.fixture
def options() -> Iterator[dict[str, object]]:
    """The OPTIONS of the database, which are as they were afterwards."""
    options: dict[str, object] = connections.settings["default"]["OPTIONS"]
    before = dict(options)
    yield options
    options.clear()
    options.update(before)


@pytest.fixture
def proxy(postgresql: PrivatePostgreSQL) -> Iterator[TcpProxy]:
    """What stands for the network on the way to the database."""
    proxy = TcpProxy(postgresql.port)
    yield proxy
    proxy.hole.clear()
    proxy.close()


def test_a_statement_that_nobody_takes_ends(
    options: dict[str, object],
    proxy: TcpProxy,
    postgresql: PrivatePostgreSQL,
    django_db_blocker: DjangoDbBlocker,
) -> None:
    give_up_on_silence(SECONDS)
    connection = connections["default"].copy()
    connection.settings_dict |= {**postgresql.settings, "PORT": proxy.port}
    connection.inc_thread_sharing()
    ended = threading.Event()

    def ask() -> None:
        with pytest.raises(OperationalError), connection.cursor() as cursor:
            cursor.execute("SELECT length(%s)", [MORE_THAN_BUFFERS_TAKE])
        ended.set()

    with django_db_blocker.unblock():
        connection.ensure_connection()
        proxy.hole.set()
        threading.Thread(target=ask, daemon=True).start()
        assert ended.wait(SECONDS * 5), "the statement waits"


def test_what_the_site_says_holds(options: dict[str, object]) -> None:
    options["tcp_user_timeout"] = 7000
    give_up_on_silence()
    assert options["tcp_user_timeout"] == 7000
    assert options["keepalives_idle"] == 10


def test_other_databases_have_no_such_options() -> None:
    before = dict(connections.settings["other"]["OPTIONS"])
    give_up_on_silence()
    assert connections.settings["other"]["OPTIONS"] == before

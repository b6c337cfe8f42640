"""The servers of a run, and durian's site on them: its database, its queues, its processes."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import amqp
import django
import psycopg

from tests.acceptance.shop import Shop
from tests.benchmarks.arrivals import Arrivals
from tests.benchmarks.meter import Meter
from tests.servers.nginx import PrivateNginx
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import PrivateRabbitMQ

PREFIX = "bench."
READY = {"publisher": "Running", "matcher": "Consuming", "deliverer": "Consuming"}
TABLES = ("site_order", "durian_event", "durian_attempt", "durian_listener")

Running = Mapping[str, ServerProcess]


class Stage:
    """Broker, database and receiver, shared by all figures of a run."""

    def __init__(self) -> None:
        self.rabbitmq = PrivateRabbitMQ(memory="4GB")
        self.postgresql = PrivatePostgreSQL(durable=True)
        self.nginx = PrivateNginx(logs=True)
        self._folder = TemporaryDirectory(prefix="durian-benchmarks-")
        self.folder = Path(self._folder.name)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Run the servers during the block, and make this process one of the site's."""
        with ExitStack() as stack:
            stack.callback(self._folder.cleanup)
            for server in (self.rabbitmq, self.postgresql, self.nginx):
                stack.callback(server.stop)
                server.start()
            self.shop = self._make_shop()
            self.shop.prepare()
            os.environ.update(self.shop.env())
            django.setup()
            yield

    def _make_shop(self) -> Shop:
        database = self.database("bench")
        return Shop(self.folder, database, BROKER_URL=self.rabbitmq.url, NAME_PREFIX=PREFIX)

    def database(self, name: str) -> dict[str, Any]:
        """Create a database; return its entry of DATABASES, with connections that are kept."""
        return self.postgresql.create_database(name) | {"CONN_MAX_AGE": 600}

    @contextmanager
    def running(self, *roles: str, **durian: Any) -> Iterator[Running]:
        """Run each of durian's `roles` as a process during the block, which begins when ready."""
        with ExitStack() as stack:
            processes = {}
            for role in roles:
                process = self.shop.running(role, READY[role], **durian)
                processes[role] = stack.enter_context(process)
            yield processes

    def meter(self, **processes: ServerProcess) -> Meter:
        """Begin to measure the CPU of the servers and of `processes`."""
        servers = {
            "broker": self.rabbitmq.pid,
            "database": self.postgresql.pid,
            "receiver": self.nginx.pid,
        }
        pids = {name: process.pid for name, process in processes.items()}
        return Meter({name: [pid] for name, pid in {**pids, **servers}.items()})

    def arrivals(self) -> Arrivals:
        """Return what arrives at nginx from now on."""
        return Arrivals(self.nginx.arrivals)

    def clear(self) -> None:
        """Empty the site's tables and queues; its processes must have ended."""
        with self.connect() as connection:
            connection.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY")
            connection.execute("UPDATE durian_listenerclock SET version = version + 1")
        with self.channel() as channel:
            for name in (self.queue("match"), self.queue("deliver"), self.queue("dead")):
                channel.queue_purge(name)

    def connect(self) -> "psycopg.Connection[Any]":
        """Return a connection of one's own to the site's database."""
        return psycopg.connect(self.postgresql.url_of("bench"), autocommit=True)

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """Give a channel to the broker during the block."""
        with amqp.Connection(f"127.0.0.1:{self.rabbitmq.port}") as connection:
            yield connection.channel()

    def queue(self, name: str) -> str:
        """Return the full name of one of the site's queues: "match", "deliver", "dead"."""
        return f"{PREFIX}durian.{name}.v1"

    def waiting(self, name: str) -> int:
        """Return how many messages one of the site's queues holds for whoever consumes it."""
        with self.channel() as channel:
            return int(channel.queue_declare(self.queue(name), passive=True).message_count)

    def rows(self, table: str) -> int:
        """Return how many rows a table has."""
        with self.connect() as connection:
            found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        return int(found[0]) if found else 0

    def outbox_waits(self) -> bool:
        """Say whether something in the outbox has not been published."""
        with self.connect() as connection:
            text = "SELECT 1 FROM durian_event WHERE published_at IS NULL LIMIT 1"
            return connection.execute(text).fetchone() is not None

    def wait_logged(self, expected: int, seconds: float) -> tuple[int, float]:
        """Wait until the log has `expected` attempts, or so many seconds.

        Return how many it has, and the time (since the epoch).
        """
        deadline = time.monotonic() + seconds
        with self.connect() as connection:
            while _last(connection) < expected and time.monotonic() < deadline:
                time.sleep(0.05)
        return self.rows("durian_attempt"), time.time()


def _last(connection: "psycopg.Connection[Any]") -> int:
    # To count them twenty times a second would be a load of its own. `clear` begins the ids anew.
    found = connection.execute("SELECT max(id) FROM durian_attempt").fetchone()
    return int(found[0] or 0) if found else 0

"""Everything that runs: broker, database, site, roles, receiver; and a supervisor for the roles."""

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import requests

from tests.acceptance.shop import Shop, order
from tests.chaos.account import Account
from tests.servers.free import wait_until
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.servers.receiver import Answer, Received, Receiver
from tests.servers.tcp_proxy import TcpProxy

ROLES = ("publisher", "publisher", "matcher", "matcher", "deliverer", "deliverer")
COUNTRIES = ("DE", "FR", "NO")
PAUSE_SECONDS = 0.05
BATCH = 5


class ChaosShop(Shop):
    """The shop, sabotaged if asked to."""

    sabotage = False

    def env(self, **durian: Any) -> dict[str, str]:
        """Return the environment of the site's processes."""
        env = super().env(**durian) | {"DJANGO_SETTINGS_MODULE": "tests.chaos.settings"}
        return env | ({"DURIAN_CHAOS_SABOTAGE": "1"} if self.sabotage else {})


class World:
    """One fault's world; the servers are shared by all."""

    def __init__(
        self,
        name: str,
        rabbitmq: PrivateRabbitMQ,
        postgresql: PrivatePostgreSQL,
        chance: random.Random,
        sabotage: bool = False,
    ) -> None:
        self.name = name
        self.rabbitmq = rabbitmq
        self.postgresql = postgresql
        self.chance = chance
        self.proxy = TcpProxy(rabbitmq.port)
        self.receiver = Receiver()
        self._folder = TemporaryDirectory(prefix=f"durian-chaos-{name}-")
        url = f"amqp://guest:guest@127.0.0.1:{self.proxy.port}//"
        self.shop = ChaosShop(
            Path(self._folder.name),
            postgresql.create_database(name),
            BROKER_URL=url,
            NAME_PREFIX=f"{name}.",
            SHUTDOWN_SECONDS=5,
        )
        self.shop.sabotage = sabotage
        self.account = Account(self.shop, postgresql.url_of(name))
        self.processes: list[tuple[str, ServerProcess]] = []
        self.failing = False
        # Not at once: some are in flight at any moment, so that a fault has what to hit.
        self.latency = 0.05
        self._numbers = 0
        self._stop_load = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the site and all roles during the block."""
        with ExitStack() as stack:
            stack.callback(self._close)
            self.shop.prepare()
            self.rabbitmq.flush()
            stack.enter_context(self.shop.web(workers=1))
            self._subscribe()
            for role in ROLES:
                process = self.shop.process(role)
                stack.callback(process.kill)
                self.processes.append((role, process))
            for _, process in self.processes:
                process.start(ready=lambda p=process: "Running" in p.log_tail())  # type: ignore[misc]
            yield

    @contextmanager
    def load(self) -> Iterator[None]:
        """Raise events steadily during the block."""
        self._stop_load.clear()
        thread = threading.Thread(target=self._raise_events)
        thread.start()
        try:
            yield
        finally:
            self._stop_load.set()
            thread.join()

    def any_of(self, role: str) -> ServerProcess:
        """Return one of the role's processes, by chance."""
        return self.chance.choice([process for name, process in self.processes if name == role])

    def revive(self, process: ServerProcess) -> None:
        """Do what a supervisor does with a process that has ended: start it again."""
        process.start(ready=lambda: True)

    def settled(self, timeout: float) -> None:
        """Wait until everything expected has arrived or is dead, and the queues are empty."""
        with suppress(AssertionError):
            wait_until(self._complete, timeout, "everything arrives", every=0.5)
        with suppress(AssertionError):
            wait_until(lambda: not self.queued(), 30, "the queues are empty", every=0.5)

    def queued(self) -> int:
        """Return how many messages wait in the queues, the dead ones left out; -1 for unknown."""
        done = self.shop.run("status", "--json")
        if not done.stdout.startswith("{"):
            return -1
        states = json.loads(done.stdout)["queues"]
        return sum(s["messages"] for s in states if ".dead." not in s["name"])

    def _complete(self) -> bool:
        with suppress(psycopg.OperationalError):
            missing = self.account.expected() - set(self.account.received())
            return not missing or missing <= self.account.dead()
        return False

    def _subscribe(self) -> None:
        rules: list[tuple[dict[str, Any], Any]] = [
            ({}, lambda order: True),
            ({"country": "DE"}, lambda order: order["country"] == "DE"),
            ({"total": {"$gte": 50}}, lambda order: order["total"] >= 50),
        ]
        for match, wants in rules:
            made = self.shop.do("subscribe", url=self.receiver.url("/hook"), match=match)
            self.account.wanted_by[made["id"]] = wants
        self.receiver.answer("/hook", self._answer)

    def _answer(self, request: Received) -> Answer:
        if self.failing:
            return Answer(503)
        self.account.accept(request)
        return Answer(delay=self.latency)

    def _raise_events(self) -> None:
        while not self._stop_load.wait(PAUSE_SECONDS):
            # The shop's table says afterwards which of them were committed.
            with suppress(requests.RequestException):
                self.shop.do("place", orders=self._orders())
            if self.chance.random() < 0.2:
                with suppress(requests.RequestException):
                    self.shop.do("place_and_roll_back", orders=self._orders())

    def _orders(self) -> list[dict[str, Any]]:
        numbers = range(self._numbers, self._numbers + BATCH)
        self._numbers += BATCH
        country, total = self.chance.choice(COUNTRIES), self.chance.randrange(100)
        return [order(number, country=country, total=total) for number in numbers]

    def _close(self) -> None:
        self.proxy.close()
        self.receiver.close()
        if os.environ.get("DURIAN_CHAOS_KEEP"):
            for log in Path(self._folder.name).glob("*.log"):
                log.rename(Path(os.environ["DURIAN_CHAOS_KEEP"]) / f"{self.name}-{log.name}")
        self._folder.cleanup()


def pause(seconds: float) -> None:
    """Let the load go on for a while: time itself is what a fault is made of."""
    time.sleep(seconds)

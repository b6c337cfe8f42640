"""Everything that runs for one fault: broker, database, site, roles, receiver, load."""

import json
import os
import random
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from tests.acceptance.shop import ROOT, Shop
from tests.chaos.account import Account, Pair
from tests.chaos.fleet import Fleet
from tests.chaos.load import Load
from tests.chaos.previous import previous_revision, unpack
from tests.servers.cluster import PrivateCluster
from tests.servers.free import wait_until
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.servers.receiver import Answer, Received, Receiver
from tests.servers.tcp_proxy import TcpProxy

SETTLE_SECONDS = 120.0
"""How long everything may take to arrive: twice what a relay that died had claimed for itself."""
QUIET_SECONDS = 10.0
"""With nothing in any queue and nothing received for so long, what is missing does not come."""
IDLE_SECONDS = 6.0
"""So long after the last delivery, all are counted that still are on their way, once more maybe:
the broker counts what is unacked, and looks after delays whose ends it lost, every 5 s."""
WARM_UP = 50
"""Deliveries before a fault strikes: every process has its connections then."""


class ChaosShop(Shop):
    """The shop, sabotaged if asked to; its processes begin with different nodes of the broker."""

    def __init__(
        self, folder: Path, database: Mapping[str, Any], brokers: Sequence[str], **durian: Any
    ) -> None:
        super().__init__(folder, database, **durian)
        self._brokers = deque(brokers)
        self.sabotage = False

    def env(self, **durian: Any) -> dict[str, str]:
        """Return the environment of the site's processes."""
        self._brokers.rotate()
        env = super().env(BROKER_URL=";".join(self._brokers), **durian)
        env |= {"DJANGO_SETTINGS_MODULE": "tests.chaos.settings"}
        return env | ({"DURIAN_CHAOS_SABOTAGE": "1"} if self.sabotage else {})


class World:
    """One fault's world; the servers are shared by all.

    With `cluster` its broker is that one, and without a proxy before it. With `old` the processes
    start with the previous version.
    """

    def __init__(
        self,
        name: str,
        rabbitmq: PrivateRabbitMQ,
        postgresql: PrivatePostgreSQL,
        chance: random.Random,
        cluster: PrivateCluster | None = None,
        old: bool = False,
        sabotage: bool = False,
    ) -> None:
        self.name = name
        self.rabbitmq = rabbitmq
        self.postgresql = postgresql
        self.chance = chance
        self.cluster = cluster
        self.proxy = TcpProxy(rabbitmq.port)
        self.receiver = Receiver()
        self.door = TcpProxy(self.receiver.port)
        self._folder = TemporaryDirectory(prefix=f"durian-chaos-{name}-")
        self._old = old
        proxied = f"amqp://guest:guest@127.0.0.1:{self.proxy.port}//"
        nodes = [node.url for node in cluster.nodes] if cluster else [proxied]
        self.shop = ChaosShop(
            Path(self._folder.name),
            postgresql.create_database(name),
            nodes,
            NAME_PREFIX=f"{name}.",
            SHUTDOWN_SECONDS=5,
        )
        self.shop.sabotage = sabotage
        self.account = Account(self.shop, postgresql.url_of(name))
        self.load = Load(self.shop, chance)
        self.fleet = Fleet(self.shop, chance, kept_port=self.door.port)
        self.failing = False
        self.answers_lost = False
        # Not at once: some are in flight at any moment, so that a fault has what to hit.
        self.latency = 0.05
        self.struck: Counter[Pair] = Counter()
        """How often each delivery was in flight when something struck."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the site and all roles during the block."""
        with ExitStack() as stack:
            stack.callback(self._close)
            self.shop.prepare()
            (self.cluster or self.rabbitmq).flush()
            stack.callback(self.fleet.kill_all)
            self.fleet.start(self._code())
            self._subscribe()
            yield

    def warm_up(self) -> None:
        """Wait until the load is on its way through all processes, and note what they hold."""
        wait_until(lambda: len(self.account.received()) >= WARM_UP, 60, "the first deliveries")
        pause(1.5)
        self.fleet.measure()

    @contextmanager
    def striking(self) -> Iterator[None]:
        """Note what is in flight while the block strikes its blow: that may come once more."""
        began = time.monotonic()
        before = self.account.in_flight(since=began)
        yield
        self.struck.update(before | self.account.in_flight(since=began))

    @contextmanager
    def lasting(self, seconds: float) -> Iterator[None]:
        """Strike, let what the block began last for so many seconds, and strike again: it ends."""
        with self.striking():
            yield
        pause(seconds)
        self.struck.update(self.account.in_flight(since=time.monotonic()))

    def settled(self) -> None:
        """Wait until everything expected has arrived or is dead, and nothing is on its way."""
        with suppress(AssertionError):
            wait_until(self._complete, SETTLE_SECONDS, "everything arrives", every=0.3)

    def queued(self) -> int:
        """Return how many messages wait in queues or outbox, dead ones left out; -1 for unknown.

        What a role holds unacked is not among them.
        """
        done = self.shop.run("status", "--json")
        if not done.stdout.startswith("{"):
            return -1
        status = json.loads(done.stdout)
        waiting = sum(s["messages"] for s in status["queues"] if ".dead." not in s["name"])
        return int(waiting + status["outbox"]["default"]["waiting"])

    def _complete(self) -> bool:
        quiet = time.monotonic() - self.account.last
        with suppress(psycopg.OperationalError, AssertionError):
            missing = self.account.expected() - set(self.account.received())
            if missing and quiet > 2.0:
                missing -= self.account.dead()
            enough = quiet > (QUIET_SECONDS if missing else IDLE_SECONDS)
            return enough and not self.queued() and not self._unacked()
        return False

    def _unacked(self) -> int:
        node = self.cluster.nodes[0] if self.cluster else self.rabbitmq
        lines = node.ctl("list_queues", "--no-table-headers", "name", "messages_unacknowledged")
        queues = (line.split() for line in lines.splitlines())
        return sum(int(count) for name, count in queues if name.startswith(f"{self.name}."))

    def _code(self) -> Path:
        return unpack(previous_revision(), Path(self._folder.name)) if self._old else ROOT

    def _subscribe(self) -> None:
        rules: list[tuple[dict[str, Any], Any]] = [
            ({}, lambda order: True),
            ({"country": "DE"}, lambda order: order["country"] == "DE"),
            ({"total": {"$gte": 50}}, lambda order: order["total"] >= 50),
        ]
        url = f"http://127.0.0.1:{self.door.port}/hook"
        for match, wants in rules:
            made = self.shop.do("subscribe", url=url, match=match)
            self.account.wanted_by[made["id"]] = wants
        self.receiver.answer("/hook", self._answer)

    def _answer(self, request: Received) -> Answer:
        if self.failing:
            return Answer(503)
        pair = self.account.accept(request)
        if self.answers_lost:
            self.struck[pair] += 1
        return Answer(delay=self.latency)

    def _close(self) -> None:
        self.proxy.close()
        self.door.close()
        self.receiver.close()
        if self.rabbitmq.running and not self.cluster:
            # Hundreds of them would make each later start of the node a long one.
            self.rabbitmq.delete_queues(f"{self.name}.")
        if os.environ.get("DURIAN_CHAOS_KEEP"):
            for log in Path(self._folder.name).glob("*.log"):
                log.rename(Path(os.environ["DURIAN_CHAOS_KEEP"]) / f"{self.name}-{log.name}")
        self._folder.cleanup()


def pause(seconds: float) -> None:
    """Let the load go on for a while: time itself is what a fault is made of."""
    time.sleep(seconds)

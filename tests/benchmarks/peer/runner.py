"""The peer of the same run: django-webhook with Celery, on the same broker, database and receiver.

Its environment, `.venv-peer`, is made by the Makefile. Its workers run as many processes or threads
as did best on two cores. They close their connection to the database around each task, as Celery
does by default, but for the figures that say so.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.benchmarks.goals import machine
from tests.benchmarks.raising import WARM_UP
from tests.benchmarks.rows import Row, Values
from tests.benchmarks.site import SITES, Saver, as_fast_as_they_arrive
from tests.benchmarks.stage import Stage
from tests.servers.process import ServerProcess

ROOT = Path(__file__).parents[3]
HOME = ROOT / ".venv-peer"
INSTALLED = HOME / "installed"
PYTHON = HOME / "bin" / "python"
SITE = "tests.benchmarks.peer.site"
POOLS = {"prefork": 4, "threads": 8}

WHOLE_SECONDS = 5
DRAINED = 1_000
DRAIN_SECONDS = 7
KEPT = 1_000_000
"""Tasks for which a worker that keeps its connection to the database does so."""


def measure(stage: Stage) -> Iterator[Row]:
    """Yield what the peer drains and does as a whole, in events a second."""
    peer = Peer.on(stage)
    drained = {pool: peer.drain(pool) for pool in POOLS}
    for pool, rate in drained.items():
        yield Row(f"peer.drain.{pool}", f"peer: drains its queue, {pool}", rate, "events/s")
    best = max(drained, key=lambda pool: drained[pool])
    yield Row("peer.drain", "peer: drains its queue, events stored", drained[best], "events/s")
    yield from machine(drained[best])
    yield Row("peer.whole", "peer: save() to the receiver", peer.whole(best), "events/s")


def measure_more(stage: Stage, done: Values) -> Iterator[Row]:
    """Yield the same of the better pool, with connections to the database that are kept."""
    peer = Peer.on(stage)
    best = max(POOLS, key=lambda pool: done[f"peer.drain.{pool}"])
    peer.keep_connections()
    kept = "peer, connections to the database kept"
    yield Row("peer.drain.kept", f"{kept}: drains its queue", peer.drain(best), "events/s")
    yield Row("peer.whole.kept", f"{kept}: save() to the receiver", peer.whole(best), "events/s")


class Peer:
    """The peer's site on the stage."""

    def __init__(self, stage: Stage) -> None:
        if not INSTALLED.exists():
            raise SystemExit(f"There is no {HOME.name}: `make {HOME.name}/installed` makes it.")
        self._stage = stage
        database = stage.database("peer")
        stage.rabbitmq.ctl("add_vhost", "peer")
        stage.rabbitmq.ctl("set_permissions", "-p", "peer", "guest", ".*", ".*", ".*")
        self._env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": f"{SITE}.settings",
            "TEST_DATABASE": json.dumps(database),
            "TEST_BROKER_URL": stage.rabbitmq.url.removesuffix("//") + "/peer",
            "TEST_DB_REUSE_MAX": "null",
            # It asks its database while it starts, of which Django warns.
            "PYTHONWARNINGS": "ignore",
        }
        self._run("django", "migrate", "--run-syncdb", "-v0")
        self._run(f"{SITE}.subscribe", stage.nginx.url())

    @classmethod
    @cache
    def on(cls, stage: Stage) -> "Peer":
        """Return the one that all figures of a run share."""
        return cls(stage)

    def keep_connections(self) -> None:
        """Have workers that start from now on keep their connections to the database."""
        self._env["TEST_DB_REUSE_MAX"] = str(KEPT)

    def raise_orders(self, count: int, *options: str) -> None:
        """Save so many orders in a process of its own."""
        self._run("tests.benchmarks.raising", str(count), *options)

    def purge(self) -> None:
        """Empty its queue."""
        self._stage.rabbitmq.ctl("purge_queue", "-p", "peer", "celery")

    def saver(self, way: str) -> Saver:
        """Return a process of its site that saves orders when it is told to."""
        return Saver(str(PYTHON), self._env, way)

    def drain(self, pool: str) -> float:
        """Return how many events a second a worker delivers from a full queue."""
        arrivals = self._stage.arrivals()
        self.raise_orders(DRAINED)
        with self._worker(pool):
            arrivals.wait_for(1, seconds=15)
            arrivals.wait_for(DRAINED, seconds=DRAIN_SECONDS)
            rate = arrivals.rate()
        self.purge()
        return rate

    def whole(self, pool: str) -> float:
        """Return how many events a second arrive while they are raised, as fast as it goes."""
        options = as_fast_as_they_arrive(self._stage.nginx.arrivals, WHOLE_SECONDS)
        with self._worker(pool), ThreadPoolExecutor() as threads:
            first = self._stage.arrivals()
            self.raise_orders(1)
            # The worker has started then, and what arrives from then on is of the sites.
            first.wait_for(WARM_UP + 1, seconds=10)
            arrivals = self._stage.arrivals()
            sites = [threads.submit(self.raise_orders, 1_000_000, *options) for _ in range(SITES)]
            arrivals.wait_for(1, seconds=10)
            arrivals.wait_for(1_000_000, seconds=WHOLE_SECONDS)
            rate = arrivals.rate()
            for site in sites:
                site.result()  # which raises what went wrong in it
        self.purge()
        return rate

    @contextmanager
    def _worker(self, pool: str) -> Iterator[None]:
        command = [str(PYTHON), "-m", "celery", "-A", SITE, "worker"]
        command += ["--pool", pool, "--concurrency", str(POOLS[pool]), "--loglevel", "WARNING"]
        command += ["--without-gossip", "--without-mingle"]
        worker = ServerProcess(command, self._env, self._stage.folder / f"{pool}.log")
        worker.start(ready=lambda: True)
        try:
            yield
        finally:
            worker.end(signal.SIGTERM, timeout=15)
            worker.kill()

    def _run(self, module: str, *arguments: str) -> None:
        command = [str(PYTHON), "-m", module, *arguments]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

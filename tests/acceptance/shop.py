"""The tests' site as processes: its web, its roles, its commands."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.servers.free import free_port
from tests.servers.process import ServerProcess

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable


class Shop:
    """One installation of the site: a database, names on a broker, and a folder for the logs."""

    def __init__(self, folder: Path, database: Mapping[str, Any], **durian: Any) -> None:
        self.folder = folder
        self.database = database
        self.durian = {"ALLOW_NETWORKS": ["127.0.0.0/8"], "SHUTDOWN_SECONDS": 10, **durian}
        self._address = ""
        self._session = requests.Session()

    def env(self, **durian: Any) -> dict[str, str]:
        """Return the environment of the site's processes, with other settings where given."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "500",
            "DJANGO_SETTINGS_MODULE": "tests.acceptance.site.settings",
            "TEST_DATABASE": json.dumps(self.database),
            "TEST_DURIAN": json.dumps({**self.durian, **durian}),
        }

    def _env_of(self, code: Path, durian: Mapping[str, Any]) -> dict[str, str]:
        # The site's own code is today's.
        return self.env(**durian) | {"PYTHONPATH": os.pathsep.join([str(code), str(ROOT)])}

    def run(self, *arguments: str, **durian: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command of durian to its end and return what it said."""
        return self._run([PYTHON, "-m", "durian", *arguments], durian)

    def prepare(self) -> None:
        """Make the tables and the queues."""
        for command in (["django", "migrate", "--run-syncdb", "-v0"], ["durian", "topology"]):
            done = self._run([PYTHON, "-m", *command], {})
            assert done.returncode == 0, done.stdout + done.stderr

    def _run(
        self, command: list[str], durian: Mapping[str, Any]
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            env=self.env(**durian),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @contextmanager
    def running(self, role: str, says: str = "Consuming", **durian: Any) -> Iterator[ServerProcess]:
        """Run a role as a process during the block, which begins once its log `says` so."""
        process = self.process(role, **durian)
        process.start(ready=lambda: says in process.log_tail())
        try:
            yield process
        finally:
            process.end(signal.SIGTERM, timeout=15)

    def process(self, role: str, code: Path = ROOT, **durian: Any) -> ServerProcess:
        """Return a role as a process that has not been started; its durian is that in `code`."""
        log = self.folder / f"{role}-{free_port()}.log"
        command = [PYTHON, "-m", "durian", role]
        return ServerProcess(command, self._env_of(code, durian), log, cwd=code)

    @contextmanager
    def web(self, workers: int = 1) -> Iterator[None]:
        """Serve the site with gunicorn during the block: `do` needs it."""
        process = self.site(workers)
        process.start(ready=lambda: process.log_tail().count("Booting worker") == workers)
        self.talk_to(process)
        try:
            yield
        finally:
            process.kill()

    def site(self, workers: int = 1, code: Path = ROOT, **durian: Any) -> ServerProcess:
        """Return the web process, not started yet; `talk_to` makes it that of `do`."""
        port = free_port()
        command = [PYTHON, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--chdir", str(code)]
        command += ["--workers", str(workers), "--timeout", "120", "--no-control-socket"]
        command += ["tests.acceptance.site.wsgi"]
        log = self.folder / f"site-{port}.log"
        return ServerProcess(command, self._env_of(code, durian), log, cwd=code)

    def talk_to(self, site: ServerProcess) -> None:
        """Have `do` talk to this web process from now on."""
        self._address = f"http://{site.command[site.command.index('--bind') + 1]}"

    def do(self, name: str, **arguments: Any) -> Any:
        """Have the web process do one of site/actions.py and return its result."""
        answer = self._session.post(f"{self._address}/{name}/", json=arguments, timeout=120)
        answer.raise_for_status()
        return answer.json()["result"]

    def waiting(self, queue: str) -> int:
        """Return how many messages a queue holds: "match", "deliver", "dead"."""
        status = json.loads(self.run("status", "--json").stdout)
        name = f"{self.durian['NAME_PREFIX']}durian.{queue}.v1"
        (found,) = (one for one in status["queues"] if one["name"] == name)
        return int(found["messages"])


def order(number: int, **fields: Any) -> dict[str, Any]:
    """Return an order with some values for what `fields` leaves out."""
    return {"number": number, "customer": "Joe", "country": "DE", "total": 10, **fields}

"""The demo: what a visitor sees in the first five minutes."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.servers.free import free_port, wait_until
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import PrivateRabbitMQ
from tests.versions import immediate_sqlite

pytestmark = immediate_sqlite

ROOT = Path(__file__).parents[2]
BINARIES = Path(sys.prefix) / "bin"
KEYS = ["events", "matched", "delivered", "retried", "dead", "lost", "seconds"]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A visitor's environment, without a broker."""
    return {
        "PATH": f"{BINARIES}:{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(tmp_path),
    }


@pytest.fixture
def env_on_rabbitmq(env: dict[str, str], rabbitmq: PrivateRabbitMQ) -> Iterator[dict[str, str]]:
    """A visitor's environment with the private RabbitMQ."""
    yield {**env, "DURIAN_BROKER_URL": rabbitmq.url}
    rabbitmq.delete_queues("demo.")


def once(env: dict[str, str], folder: Path) -> None:
    """Run `durian demo --once` and check what it says."""
    done = subprocess.run(
        [BINARIES / "durian", "demo", "--once"],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert list(summary) == KEYS
    assert summary["events"] == 200
    assert summary["lost"] == 0
    assert summary["delivered"] > 0
    assert summary["retried"] > 0
    assert summary["dead"] > 0
    assert summary["matched"] == summary["delivered"] + summary["dead"]
    assert list(folder.iterdir()) == [], "nothing is left behind"


def test_once_on_a_broker_in_memory(env: dict[str, str], tmp_path: Path) -> None:
    once(env, tmp_path)


def test_once_on_rabbitmq(env_on_rabbitmq: dict[str, str], tmp_path: Path) -> None:
    once(env_on_rabbitmq, tmp_path)


def log_in(address: str, name: str, password: str) -> requests.Session:
    """Log in to the admin as a browser would, and return the session."""
    session = requests.Session()
    page = f"{address}/admin/login/"
    form = {"username": name, "password": password, "csrfmiddlewaretoken": _token(session, page)}
    assert session.post(page, form, timeout=10).status_code == 200
    return session


def _token(session: requests.Session, page: str) -> str:
    assert session.get(page, timeout=10).status_code == 200
    return session.cookies["csrftoken"]


def test_the_demo_goes_on_until_ctrl_c_and_names_its_pages_and_the_login(
    env: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "demo.log"
    port = free_port()
    demo = ServerProcess([str(BINARIES / "durian"), "demo", "--port", str(port)], env, log)
    demo.start(ready=lambda: "login:" in log.read_text())
    said = re.search(r"Pages: (\S+?)/?\s+\(login: (\w+), password: (\w+)\)", log.read_text())
    assert said, log.read_text()
    address, name, password = said.groups()
    assert address == f"http://127.0.0.1:{port}"
    session = log_in(address, name, password)
    assert "everything" in session.get(f"{address}/webhooks/", timeout=10).text
    wait_until(lambda: log.read_text().count("delivered") >= 5, 20, "deliveries are shown")

    def ended() -> bool:
        demo.send(signal.SIGINT)
        return "Bye." in log.read_text()

    # Impatient visitors press it more than once, and `make` and a shell may both pass it on.
    wait_until(ended, 20, "the demo says that it ends", every=0.001)
    demo.wait(timeout=20)
    assert demo.returncode == 0
    assert "Traceback" not in log.read_text()


def test_ctrl_c_ends_a_single_round_without_a_traceback(
    env: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "demo.log"
    demo = ServerProcess([str(BINARIES / "durian"), "demo", "--once"], env, log)
    demo.start(ready=lambda: "delivered" in log.read_text())
    demo.end(signal.SIGINT, timeout=20)
    assert demo.returncode == 130
    assert log.read_text().endswith("Interrupted: what was done until now stays done.\n")


@pytest.mark.parametrize("early", [True, False], ids=["while it loads", "while it runs"])
def test_sigterm_ends_a_single_round_and_leaves_nothing(
    env: dict[str, str], tmp_path: Path, early: bool
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    log = tmp_path / "demo.log"
    command = [str(BINARIES / "durian"), "demo", "--once"]
    demo = ServerProcess(command, {**env, "TMPDIR": str(place)}, log)
    demo.start(ready=lambda: list(place.iterdir()) and (early or "delivered" in log.read_text()))
    demo.end(signal.SIGTERM, timeout=20)
    assert demo.returncode == 143
    assert list(place.iterdir()) == []
    assert "Traceback" not in log.read_text()
    assert early or log.read_text().endswith("Interrupted: what was done until now stays done.\n")


def test_the_procfile_runs_the_demo_on_rabbitmq(
    env_on_rabbitmq: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    database = tmp_path / "demo.sqlite3"
    env = {**env_on_rabbitmq, "DURIAN_DEMO_DATABASE": str(database)}
    procfile = tmp_path / "Procfile"
    procfile.write_text((ROOT / "Procfile").read_text().replace(":8000", f":{port}"))
    prepare = [str(BINARIES / "durian"), "demo", "--prepare", "--port", str(port)]
    subprocess.run(prepare, env=env, cwd=tmp_path, check=True, timeout=60)
    log = tmp_path / "honcho.log"
    command = [str(BINARIES / "honcho"), "-f", str(procfile), "-d", str(ROOT), "start"]
    honcho = ServerProcess(command, env, log)
    honcho.start(ready=lambda: all(one in log.read_text() for one in READY))
    try:
        address = f"http://127.0.0.1:{port}"
        session = log_in(address, "demo", "demo")
        page = f"{address}/admin/durian_demo/person/add/"
        person = {"name": "Joe", "address": "New York", "csrfmiddlewaretoken": ""}
        person["csrfmiddlewaretoken"] = _token(session, page)
        assert "was added successfully" in session.post(page, person, timeout=10).text
        wait_until(lambda: delivered(database) == 2, 30, "both listeners got it")
    finally:
        honcho.end(signal.SIGINT, timeout=20)


READY = ("Booting worker", "demo.durian.match.v1", "demo.durian.deliver.v1")
"""What the web, the matcher and the deliverer say when they have started."""


def delivered(database: Path) -> int:
    """Return how many deliveries the log in the demo's database says were received."""
    with closing(sqlite3.connect(database, timeout=20)) as connection:
        question = "SELECT count(*) FROM durian_attempt WHERE outcome = 'delivered'"
        return int(connection.execute(question).fetchone()[0])

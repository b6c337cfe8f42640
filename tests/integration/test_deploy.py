"""What operators copy: read it, hold it against the program, and run of it what runs without a
container engine."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from durian.conf import Config
from durian.management.commands.durian import Command
from tests.servers.free import free_port, wait_until
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import PrivateRabbitMQ

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SERVICES = sorted((DEPLOY / "systemd").glob("*.service"))
# A role may take its time to stop, and some seconds more for its threads.
LEAST_GRACE = Config.shutdown_seconds + 10


def _compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"])


def _dockerfile(instruction: str) -> list[str]:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^ *{instruction} (.*)$", text, re.MULTILINE)


def _healthcheck() -> list[str]:
    command: list[str] = json.loads(_dockerfile("HEALTHCHECK")[0].partition("CMD ")[2])
    return command


def _unit(path: Path) -> dict[str, str]:
    # Repeated keys are fine for systemd, and percent signs are its own.
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return dict(parser["Service"])


def _check_command(command: str) -> None:
    """Let durian's own parser read every `durian …` of a shell's line; it exits at a mistake."""
    found = re.findall(r"(?:^|\s)durian ([a-z][^&|]*)", command)
    assert found, command
    for arguments in found:
        Command().create_parser("manage.py", "durian").parse_args(shlex.split(arguments))


def test_compose_runs_the_roles_after_the_topology_is_declared() -> None:
    services = _compose()
    assert set(services) == {"prepare", "web", "matcher", "deliverer", "rabbitmq", "postgresql"}
    for name in ("prepare", "matcher", "deliverer"):
        _check_command(" ".join(services[name]["command"]))
    _check_command(" ".join(_healthcheck()))
    for name in ("web", "matcher", "deliverer"):
        assert services[name]["depends_on"]["prepare"]["condition"].endswith("successfully")
    for name in ("matcher", "deliverer"):
        assert int(services[name]["stop_grace_period"].removesuffix("s")) >= LEAST_GRACE


def test_compose_names_files_and_variables_that_exist() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    wanted = set(re.findall(r"\$\{([A-Z_]+)", text))
    offered = re.findall(r"^([A-Z_]+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE)
    assert wanted == set(offered)
    mounts = [volume.split(":")[0] for volume in _compose()["rabbitmq"]["volumes"]]
    assert all((DEPLOY / mount).is_file() for mount in mounts if mount.startswith("./"))
    copied = [source for line in _dockerfile("COPY") for source in line.split()[:-1]]
    assert copied
    assert all((ROOT / source).exists() for source in copied)


def test_no_container_of_the_site_has_rights_to_lose() -> None:
    assert _dockerfile("USER") == ["durian"]
    for name in ("prepare", "web", "matcher", "deliverer"):
        service = _compose()[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "privileged" not in service


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_units_run_commands_that_exist(path: Path) -> None:
    service = _unit(path)
    _check_command(service["ExecStart"])
    assert service["User"] == "durian"
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    if service["Type"] != "oneshot":
        assert service["Restart"] == "always"
        assert int(service["TimeoutStopSec"]) >= LEAST_GRACE


def test_roles_may_choose_their_cpu() -> None:
    # @resources, which is not allowed, has it; and systemd kills who calls what is not allowed.
    for path in SERVICES:
        if "prune" not in path.name:
            assert _unit(path)["SystemCallFilter"] == "sched_setaffinity"


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    units = [*SERVICES, *(DEPLOY / "systemd").glob("*.timer")]
    assert len(units) == 4
    for unit in units:
        # systemd wants the command to be there.
        text = unit.read_text().replace("/srv/site/venv/bin/python", "/bin/sh")
        (tmp_path / unit.name).write_text(text)
    # Without systemd the test above has read the units all the same.
    if analyze := shutil.which("systemd-analyze"):
        paths = [str(tmp_path / unit.name) for unit in units]
        done = subprocess.run(
            [analyze, "verify", "--man=no", *paths], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_procfile_runs_the_demo_with_all_roles() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    processes = dict(line.split(": ", 1) for line in lines if not line.startswith("#"))
    assert set(processes) == {"web", "matcher", "deliverer"}
    for name in ("matcher", "deliverer"):
        _check_command(processes[name])


def test_rabbitmq_starts_with_the_configuration() -> None:
    server = PrivateRabbitMQ()
    for name in ("rabbitmq.conf", "advanced.config"):
        shutil.copy(DEPLOY / "rabbitmq" / name, server.directory / name)
    try:
        server.start()
        environment = server.ctl("environment")
    finally:
        server.stop()
    assert "{consumer_timeout,1800000}" in environment
    assert "{dead_letter_worker_publisher_confirm_timeout,5000}" in environment


class Site:
    """deploy/site as the containers run it, on the tests' servers."""

    def __init__(self, env: dict[str, str], directory: Path) -> None:
        self.env = env
        self.directory = directory

    def run(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )

    def process(self, name: str, command: list[str]) -> ServerProcess:
        return ServerProcess(command, self.env, self.directory / f"{name}.log")


@pytest.fixture
def site(
    rabbitmq: PrivateRabbitMQ, amqp_prefix: str, postgresql: PrivatePostgreSQL, tmp_path: Path
) -> Iterator[Site]:
    database = postgresql.create_database("deploy")
    values = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{DEPLOY / 'site'}{os.pathsep}{ROOT}",
        "DJANGO_SETTINGS_MODULE": "settings",
        "DJANGO_SECRET_KEY": "x" * 50,
        "DJANGO_ALLOWED_HOSTS": "hooks.example.com",
        "DURIAN_ENCRYPTION_KEYS": "new key,old key",
        "DURIAN_BROKER_URL": rabbitmq.url,
        "DURIAN_NAME_PREFIX": amqp_prefix,
        "POSTGRES_HOST": database["HOST"],
        "POSTGRES_PORT": str(database["PORT"]),
        "POSTGRES_DB": database["NAME"],
        "POSTGRES_USER": database["USER"],
        "POSTGRES_PASSWORD": "none is asked for",
    }
    yield Site(values, tmp_path)
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE deploy WITH (FORCE)")


def test_the_site_is_prepared_runs_and_is_healthy(site: Site) -> None:
    services = _compose()
    prepared = site.run(services["prepare"]["command"])
    assert prepared.returncode == 0, prepared.stderr
    assert site.run(_healthcheck()).returncode == 1, "no role runs yet"
    roles = [site.process(name, services[name]["command"]) for name in ("matcher", "deliverer")]
    for role in roles:
        role.start(ready=lambda role=role: "Consuming" in role.log.read_text())  # type: ignore[misc]
    wait_until(lambda: site.run(_healthcheck()).returncode == 0, 60, "the site is healthy", every=1)
    _see_pages(site)
    for role in roles:
        role.end(signal.SIGTERM, timeout=LEAST_GRACE)
        assert "Stopped." in role.log_tail(1)


def _see_pages(site: Site) -> None:
    port = str(free_port())
    command = " ".join(json.loads(_dockerfile("CMD")[0]))
    web = site.process("web", command.replace("0.0.0.0:8000", f"127.0.0.1:{port}").split())
    check = [part.replace("8000", port) for part in _compose()["web"]["healthcheck"]["test"][1:]]
    web.start(ready=lambda: site.run(check).returncode == 0)
    style = f"http://127.0.0.1:{port}/static/durian/pages.css"
    with urllib.request.urlopen(style, timeout=10) as answer:
        assert answer.headers.get_content_type() == "text/css"
    web.end(signal.SIGTERM)

"""The command `durian` when it cannot do what it is told: one line, an exit code, no traceback."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from durian import __version__
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import PrivateRabbitMQ

DURIAN = str(Path(sys.prefix) / "bin" / "durian")
SLOW_SITE = """
import time
from durian.demo.settings import *
print("loading", flush=True)
time.sleep(60)
"""
CHINESE_SITE = """
from durian.demo.settings import *
DATABASES["数据"] = DATABASES["default"]
DURIAN |= {"OUTBOX_DATABASES": ["default", "数据"]}
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with the demo's settings and an empty database."""
    return {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "durian.demo.settings",
        "DURIAN_DEMO_DATABASE": str(tmp_path / "demo.sqlite3"),
        "PYTHONPATH": str(tmp_path),
    }


def durian(env: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `durian` to its end."""
    return subprocess.run(
        [DURIAN, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "arguments", [["prune"], ["rekey"], ["replay", "--all", "--since", "2h"]], ids=lambda a: a[0]
)
def test_a_database_without_tables_is_named(env: dict[str, str], arguments: list[str]) -> None:
    done = durian(env | {"DURIAN_BROKER_URL": "amqp://127.0.0.1:1//"}, *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("CommandError: The database 'default' lacks what migrations make: no ")
    assert line.endswith(". Run `manage.py migrate`.")


@pytest.mark.parametrize(
    "arguments", [["topology"], ["replay", "--all", "--since", "2h"]], ids=lambda a: a[0]
)
def test_what_would_end_with_the_command_is_refused(
    env: dict[str, str], arguments: list[str]
) -> None:
    assert durian(env, "demo", "--prepare").returncode == 0
    done = durian(env, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is memory://, which no other process sees: set it to a RabbitMQ" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["prune"], ["prune", "--json"], ["status"]], ids=lambda a: "-".join(a)
)
def test_a_reader_who_has_had_enough_is_no_fault(env: dict[str, str], arguments: list[str]) -> None:
    assert durian(env, "demo", "--prepare").returncode == 0
    with subprocess.Popen(
        [DURIAN, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.parametrize("option", [[], ["--json"]], ids=["text", "json"])
def test_a_receiver_that_nobody_reads_answers_and_ends(
    env: dict[str, str], option: list[str]
) -> None:
    with subprocess.Popen(
        [DURIAN, "receiver", "--port", "0", *option],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            assert process.stderr
            (url,) = re.findall(r"http://\S+", process.stderr.readline())
            assert requests.post(url, b"{}", timeout=10).status_code == 200
            assert process.stdout.readline()
            process.stdout.close()
            assert requests.post(url, b"{}", timeout=10).status_code == 200
            assert process.wait(20) == 141
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.mark.parametrize("command", ["prune", "status"])
def test_a_closed_output_is_no_fault(env: dict[str, str], command: str) -> None:
    assert durian(env, "demo", "--prepare").returncode == 0
    done = subprocess.run(
        ["sh", "-c", f"exec {DURIAN} {command} >&-"], env=env, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("option", [[], ["--json"]], ids=["text", "json"])
def test_an_output_that_is_full_is_told(env: dict[str, str], option: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [DURIAN, "status", *option], env=env, stdout=full, stderr=subprocess.PIPE, timeout=60
        )
    told = b"CommandError: Cannot write to standard output: No space left on device.\n"
    assert (done.returncode, done.stderr) == (1, told)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_the_terminal_has_no_letters_for_is_printed(
    env: dict[str, str], tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "chinesesite.py").write_text(CHINESE_SITE, encoding="utf-8")
    env |= {"PYTHONIOENCODING": encoding, "DJANGO_SETTINGS_MODULE": "chinesesite"}
    done = durian(env, "status")
    assert "problem: The database '\\u6570\\u636e' " in done.stdout
    assert (done.returncode, done.stderr) == (1, "")
    done = durian(env, "demo", "--help")
    assert "DURIAN_BROKER_URL=amqp://\\u2026" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_an_export_to_dev_stdout_goes_where_the_shell_says(
    env: dict[str, str], tmp_path: Path, rabbitmq: PrivateRabbitMQ, amqp_prefix: str
) -> None:
    durian_settings = {"BROKER_URL": rabbitmq.url, "NAME_PREFIX": amqp_prefix}
    site = f"from durian.demo.settings import *\nDURIAN |= {durian_settings!r}\n"
    (tmp_path / "rabbitsite.py").write_text(site)
    env |= {"DJANGO_SETTINGS_MODULE": "rabbitsite"}
    assert durian(env, "topology").returncode == 0
    target = tmp_path / "out"
    with target.open("w") as out:
        command = [DURIAN, "dead", "export", "--output", "/dev/stdout"]
        subprocess.run(command, env=env, stdout=out, check=True, timeout=60)
    assert target.read_text() == "0 dead letters written to /dev/stdout.\n"


@pytest.mark.parametrize(
    "arguments",
    [["dead", "list"], ["topology"], ["replay", "--all", "--since", "1h"], ["matcher"]],
    ids=lambda arguments: arguments[0],
)
def test_what_a_broker_in_memory_has_is_not_looked_for_from_outside(
    env: dict[str, str], arguments: list[str]
) -> None:
    done = durian(env, *arguments)
    assert done.returncode == 1
    assert "memory://, which no other process sees" in done.stderr


@pytest.fixture
def nowhere(env: dict[str, str]) -> dict[str, str]:
    """An environment that names no site."""
    return {name: value for name, value in env.items() if name != "DJANGO_SETTINGS_MODULE"}


def test_djangos_options_stand_before_the_subcommand(nowhere: dict[str, str]) -> None:
    assert durian(nowhere, "-v", "2", "demo", "--prepare").returncode == 0
    settings = "--settings=durian.demo.settings"
    assert durian(nowhere, settings, "-v2", "--no-color", "status").returncode == 0
    assert durian(nowhere, *settings.split("="), "prune").returncode == 0


def test_the_version_is_durians(nowhere: dict[str, str]) -> None:
    done = durian(nowhere, "--version")
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")


def test_a_site_that_is_not_named_is_asked_for(nowhere: dict[str, str]) -> None:
    done = durian(nowhere, "-v", "2", "status")
    assert done.returncode == 1
    assert "which site? Call `python manage.py durian status` in its folder" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "--port", "70000"], "'70000' is not a number from 0 to 65535"),
        (["receiver", "--port", "-1"], "'-1' is not a number from 0 to 65535"),
        (["dead", "list", "--limit", "-3"], "'-3' is no number of letters"),
        (["dead", "list", "--limit", "many"], "'many' is no number of letters"),
        (["replay", "--all", "--since", "99999999d"], "'99999999d' is no time"),
        (["replay", "--all", "--since", "2026-13-01T00:00"], "is no time: month must be in 1..12"),
        (["replay", "--all", "--since", "soon"], "'soon' is no age"),
    ],
    ids=lambda value: "-".join(value).replace("/", "") if isinstance(value, list) else "",
)
def test_a_wrong_argument_is_named(env: dict[str, str], arguments: list[str], said: str) -> None:
    done = durian(env, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named_with_the_remedy(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = durian(env, "demo", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} of 127.0.0.1 cannot be had: Address already in use." in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_the_site_loads_ends_without_a_traceback(
    env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "slowsite.py").write_text(SLOW_SITE)
    log = tmp_path / "log"
    command = ServerProcess([DURIAN, "status"], {**env, "DJANGO_SETTINGS_MODULE": "slowsite"}, log)
    command.start(ready=lambda: "loading" in log.read_text())
    command.end(signal.SIGINT, timeout=20)
    assert command.returncode == 130
    assert "Traceback" not in log.read_text()

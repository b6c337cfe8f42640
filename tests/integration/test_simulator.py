"""`durian receiver`, as a command and as a class."""

import argparse
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from durian.signing import Signer, generate_secret
from durian.simulator import MODES, TLS_MODES, Behaviour, Seen, Simulator, add_arguments, run
from tests.servers.free import free_port

SECRET = generate_secret()


def signed(body: bytes) -> dict[str, str]:
    return Signer([SECRET]).headers("msg_1", int(time.time()), body)


def post(simulator: Simulator, body: bytes = b"{}", **headers: str) -> requests.Response:
    return requests.post(simulator.url("/hook"), body, headers=headers, timeout=5)


def parsed(*arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return vars(parser.parse_args(arguments))


def test_statuses_are_answered_in_turn() -> None:
    with Simulator(Behaviour(statuses=[500, 503, 200], retry_after="7")) as simulator:
        answers = [post(simulator) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [500, 503, 200, 500]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["7", "7", None, "7"]


def test_a_part_of_the_requests_fails() -> None:
    draws = iter([0.05, 0.5, 0.09, 0.1])
    with Simulator(Behaviour(fail=0.1, draw=lambda: next(draws))) as simulator:
        assert [post(simulator).status_code for _ in range(4)] == [500, 200, 500, 200]


def test_latency_comes_before_the_answer() -> None:
    with Simulator(Behaviour(latency=0.2)) as simulator:
        assert post(simulator).elapsed.total_seconds() >= 0.2


def test_what_is_not_signed_is_answered_401() -> None:
    seen: list[Seen] = []
    with Simulator(Behaviour(secrets=[SECRET]), seen.append) as simulator:
        assert post(simulator, b"{}", **signed(b"{}")).status_code == 200
        assert post(simulator, b"[]", **signed(b"{}")).status_code == 401
        assert post(simulator).status_code == 401
    assert seen[0].signature == "valid"
    assert "fits" in seen[1].signature
    assert "webhook-id is missing" in seen[2].signature


@pytest.mark.parametrize("length", ["many", "-1", "", "9" * 5000])
def test_a_length_without_sense_is_answered_400(
    length: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Seen] = []
    with Simulator(Behaviour(), seen.append) as simulator:
        address = simulator.url("").removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=5) as caller:
            caller.sendall(f"POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{{}}".encode())
            assert caller.makefile("rb").readline() == b"HTTP/1.1 400 Bad Request\r\n"
        assert post(simulator).status_code == 200
    assert len(seen) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("mode", "fault"),
    [
        ("tls-expired", "expired"),
        ("tls-self-signed", "self-signed"),
        ("tls-wrong-host", "doesn't match|mismatch"),
    ],
)
def test_who_trusts_its_authority_sees_the_fault_of_a_certificate_alone(
    mode: str, fault: str
) -> None:
    with Simulator(Behaviour(mode=mode)) as simulator:
        bundle = simulator.ca_bundle
        assert bundle
        with pytest.raises(requests.exceptions.SSLError, match=fault):
            requests.post(simulator.url(), b"{}", verify=str(bundle), timeout=5)
        context = ssl.create_default_context(cafile=bundle)
        # As Python does by itself from 3.13 on.
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        address = urlsplit(simulator.url())
        with (
            socket.create_connection((address.hostname, address.port), 5) as connection,
            pytest.raises(ssl.SSLCertVerificationError, match=fault),
        ):
            context.wrap_socket(connection, server_hostname=address.hostname)
    assert not bundle.exists()


def test_help_teaches_every_mode(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--help")
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in (*MODES, *TLS_MODES))
    assert "ALLOW_NETWORKS" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("--fail", "1.5"),
        ("--status", "99"),
        ("--latency", "soon"),
        ("--secret", "whsec_hush"),
        ("--mode", "nice"),
    ],
)
def test_an_option_without_sense_is_refused(
    arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(*arguments)
    error = capsys.readouterr().err
    assert arguments[0] in error
    assert "hush" not in error


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with Simulator(Behaviour()) as simulator:
        port = simulator.url("").rpartition(":")[2]
        assert run(parsed("--port", port)) == 1
    assert port in capsys.readouterr().err


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_prints_one_line_for_each_request(as_json: bool) -> None:
    port = free_port()
    program = (
        "import argparse, sys; from durian.simulator import add_arguments, run;"
        "parser = argparse.ArgumentParser(); add_arguments(parser);"
        "sys.exit(run(vars(parser.parse_args())))"
    )
    command = [sys.executable, "-c", program, "--port", str(port), "--secret", SECRET]
    process = subprocess.Popen(
        [*command, *(["--json"] if as_json else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=os.getcwd(),
    )
    assert process.stderr is not None
    assert str(port) in process.stderr.readline()
    url = f"http://127.0.0.1:{port}/hook"
    headers = {**signed(b"{}"), "durian-hook": "a.b\x07", "durian-attempt": "2"}
    requests.post(url, b"{}", headers=headers, timeout=5)
    requests.post(url, b"{}", timeout=5)
    process.send_signal(signal.SIGTERM)
    output, notices = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "2 requests" in notices
    first, second = output.splitlines()
    assert "CA_BUNDLE" not in notices
    if as_json:
        facts = json.loads(first)
        assert (facts["status"], facts["id"], facts["attempt"]) == (200, "msg_1", "2")
        assert json.loads(second)["status"] == 401
    else:
        assert "200 POST /hook a.b? msg_1 attempt 2 2 bytes signature: valid" in first
        assert "401" in second
        assert "\x1b" not in output
        assert "\x07" not in output

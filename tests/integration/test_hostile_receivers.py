"""Receivers that are broken or mean harm, one test for each.

All of them are called at once, by each way to make an exchange, so that the whole takes little
more than one deadline; the tests then look at how each exchange ended.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from email.utils import formatdate

import pytest
import requests
from requests import Response

from deliverer.answer import MAX_ANSWER, MAX_HEADERS
from deliverer.http import Result, Settings
from deliverer.targets import Target
from deliverer.verdict import judge
from durian.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    DeliveryError,
    InvalidAnswer,
    TLSFailed,
)
from durian.guard import Guard
from durian.options import Options
from durian.policy import MAX_RETRY_AFTER, RetryPolicy
from durian.signing import Signer, generate_secret
from durian.simulator import MODES, TLS_MODES, Behaviour, Seen, Simulator
from durian.simulator.certificates import Authority, server_context
from durian.simulator.modes import NEVER_ACCEPTS
from durian.wire.messages import DeliveryMessage
from tests.integration.conformance import WAYS, post

DEADLINE = 1.5
SLACK = 1.0
UUID = "01890000-0000-7000-8000-000000000000"
POLICY_DELAY = 5.0
GOOD = "a good certificate"


@dataclass(frozen=True)
class Ended:
    """How an exchange ended, after how many seconds, and what the receiver had seen of it."""

    result: Result
    seconds: float
    seen: list[Seen]

    @property
    def response(self) -> Response:
        """The answer; raises the error that came in its place."""
        if isinstance(self.result, DeliveryError):
            raise self.result
        return self.result

    def error(self, kind: type[DeliveryError]) -> str:
        """The text of the error, which has to be of `kind`."""
        assert isinstance(self.result, DeliveryError), self.result
        assert type(self.result) is kind, repr(self.result)
        assert not self.result.permanent
        return str(self.result)


Call = Callable[[str], Ended]


@pytest.fixture(scope="module", params=WAYS)
def ended(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Ended]]:
    """How the exchanges with all the receivers ended, by the receiver's name."""
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    with ExitStack() as stack:
        seen: dict[str, list[Seen]] = {
            name: [] for name in (NEVER_ACCEPTS, *MODES, *TLS_MODES, GOOD)
        }
        simulators = {
            name: stack.enter_context(Simulator(Behaviour(mode=name), seen[name].append))
            for name in seen
            if name != GOOD
        }
        tls = server_context(authority.issue("127.0.0.1"))
        simulators[GOOD] = stack.enter_context(Simulator(Behaviour(), seen[GOOD].append, tls=tls))
        with authority.bundle.open("ab") as bundle:
            for simulator in simulators.values():
                bundle.write(simulator.ca_bundle.read_bytes() if simulator.ca_bundle else b"")
        settings = Settings(Guard(["127.0.0.0/8"]), ca_bundle=str(authority.bundle))
        call = stack.enter_context(WAYS[request.param](settings))

        def end(name: str) -> Ended:
            began = time.monotonic()
            result = call(post(simulators[name].url(), b'{"secret": 1}'), DEADLINE)
            return Ended(result, time.monotonic() - began, seen[name])

        with ThreadPoolExecutor(len(simulators)) as pool:
            yield dict(zip(simulators, pool.map(end, simulators), strict=True))


def test_every_deadline_is_kept_and_little_is_kept_of_an_answer(ended: Mapping[str, Ended]) -> None:
    for name, end in ended.items():
        assert end.seconds < DEADLINE + SLACK, name
        if isinstance(end.result, Response):
            assert len(end.result.content) <= MAX_ANSWER, name
            assert sum(map(len, end.result.headers.values())) <= MAX_HEADERS, name


def test_memory_is_bounded_whatever_they_send() -> None:
    modes = ("huge-body", "gzip-bomb", "huge-headers", "endless-headers", "endless-1xx")
    times = 20
    with ExitStack() as stack:
        simulators = [stack.enter_context(Simulator(Behaviour(mode=mode))) for mode in modes]
        urls = [simulator.url() for simulator in simulators]
        command = [sys.executable, "-m", "tests.integration.appetite", str(times), *urls]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60)
    found = json.loads(done.stdout)
    assert found["ended"] == times * len(modes)
    # In kilobytes, for 100 exchanges of which 40 are offered 10 GB each.
    assert found["grown"] < 50_000


def test_tls_that_is_never_begun() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        WAYS["engine"](Settings(Guard(["127.0.0.0/8"]))) as call,
    ):
        began = time.monotonic()
        result = call(post(f"https://127.0.0.1:{silent.getsockname()[1]}/"), DEADLINE)
        assert time.monotonic() - began < DEADLINE + SLACK
    assert isinstance(result, DeadlineExceeded)
    assert "TLS was not agreed on" in str(result)


def test_never_accepting(ended: Mapping[str, Ended]) -> None:
    assert "onnect" in ended["never-accepts"].error(DeadlineExceeded)
    assert not ended["never-accepts"].seen


def test_accepting_and_never_answering(ended: Mapping[str, Ended]) -> None:
    assert "0 bytes received" in ended["never-answers"].error(DeadlineExceeded)
    assert len(ended["never-answers"].seen) == 1


def test_one_byte_of_header_each_second(ended: Mapping[str, Ended]) -> None:
    assert ended["slow-headers"].error(DeadlineExceeded)
    assert ended["slow-headers"].seconds > DEADLINE - 0.1


def test_one_byte_of_body_each_second(ended: Mapping[str, Ended]) -> None:
    assert "out of 1000000 bytes" in ended["slow-body"].error(DeadlineExceeded)


def test_ten_gigabytes_of_body(ended: Mapping[str, Ended]) -> None:
    assert ended["huge-body"].response.status_code == 200
    assert ended["huge-body"].response.content == b"z" * MAX_ANSWER
    assert ended["huge-body"].seconds < DEADLINE


def test_gzip_bomb(ended: Mapping[str, Ended]) -> None:
    assert ended["gzip-bomb"].response.status_code == 200
    assert len(ended["gzip-bomb"].response.content) == MAX_ANSWER
    assert ended["gzip-bomb"].seconds < DEADLINE


def test_hundred_kilobytes_of_headers(ended: Mapping[str, Ended]) -> None:
    assert ended["huge-headers"].response.status_code == 200
    assert ended["huge-headers"].response.headers["X-0"] == "z" * 1000


def test_headers_for_ever(ended: Mapping[str, Ended]) -> None:
    assert "response headers" in ended["endless-headers"].error(ConnectionFailed)


def test_1xx_for_ever(ended: Mapping[str, Ended]) -> None:
    assert isinstance(ended["endless-1xx"].result, ConnectionFailed | DeadlineExceeded)


def test_invalid_http(ended: Mapping[str, Ended]) -> None:
    assert "HTTP/0.9" in ended["not-http"].error(InvalidAnswer)


def test_invalid_chunking(ended: Mapping[str, Ended]) -> None:
    assert "chunk" in ended["bad-chunks"].error(ConnectionFailed).lower()


@pytest.mark.parametrize(
    ("name", "status"),
    [("redirect-loop", 302), ("redirect-private", 302), ("redirect-with-body", 307)],
)
def test_redirects(ended: Mapping[str, Ended], name: str, status: int) -> None:
    assert ended[name].response.status_code == status
    assert len(ended[name].seen) == 1


def test_tls_with_a_good_certificate(ended: Mapping[str, Ended]) -> None:
    assert ended[GOOD].response.status_code == 200


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("tls-expired", "certificate has expired"),
        ("tls-self-signed", "self-signed certificate"),
        ("tls-wrong-host", "127.0.0.1"),
    ],
)
def test_tls_with_a_bad_certificate(ended: Mapping[str, Ended], name: str, cause: str) -> None:
    assert cause in ended[name].error(TLSFailed)
    assert not ended[name].seen


def test_reset_in_the_middle_of_an_answer(ended: Mapping[str, Ended]) -> None:
    assert "reset" in ended["reset"].error(ConnectionFailed).lower()


def test_http_1_0_without_length(ended: Mapping[str, Ended]) -> None:
    assert ended["http10"].response.content == b"thanks"


IN_AN_HOUR = "the date in an hour"


@pytest.mark.parametrize(
    ("retry_after", "delay"),
    [
        ("0", POLICY_DELAY),
        ("60", 60.0),
        (IN_AN_HOUR, pytest.approx(3600, abs=60)),
        (formatdate(0, usegmt=True), POLICY_DELAY),
        ("-5", POLICY_DELAY),
        (str(10 * 365 * 24 * 3600), MAX_RETRY_AFTER),
        ("9" * 400, MAX_RETRY_AFTER),
        ("soon; ça va", POLICY_DELAY),
        ("", POLICY_DELAY),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_retry_after(way: str, retry_after: str, delay: object) -> None:
    if retry_after == IN_AN_HOUR:
        # Not before: the test may run long after it was collected.
        retry_after = formatdate(time.time() + 3600, usegmt=True)
    behaviour = Behaviour(statuses=[503], retry_after=retry_after)
    settings = Settings(Guard(["127.0.0.0/8"]))
    with Simulator(behaviour) as simulator, WAYS[way](settings) as call:
        result = call(post(simulator.url()), DEADLINE)
    delivery = DeliveryMessage(id=UUID, event=UUID, hook="a", listener=1, body="{}", created=0.0)
    options = Options(policy=RetryPolicy.schedule([POLICY_DELAY], jitter=0.0))
    template = requests.Request("POST", simulator.url()).prepare()
    target = Target(1, "active", options, template, Signer([generate_secret()]))
    now = time.time()
    verdict = judge(result, delivery, target, now, now)
    assert (verdict.outcome, verdict.status) == ("retry", 503)
    assert verdict.retry_in == delay

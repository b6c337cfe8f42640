"""The adapter in a session of requests: what the session does, and which exceptions it raises."""

import socket
from collections.abc import Iterator

import pytest
import requests

from deliverer.adapter import CurlAdapter
from deliverer.http import Settings
from durian.errors import AddressRefused, DeliveryError
from durian.simulator import Behaviour, Simulator
from durian.simulator.certificates import Authority, server_context
from tests.integration.conformance import LOOPBACK
from tests.servers.free import free_port
from tests.servers.receiver import Answer, Receiver


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A session that calls as durian does."""
    with mounted(LOOPBACK) as session:
        yield session


def mounted(settings: Settings) -> requests.Session:
    session = requests.Session()
    session.mount("http://", CurlAdapter(settings))
    session.mount("https://", CurlAdapter(settings))
    return session


def test_a_session_works_as_usual(session: requests.Session, receiver: Receiver) -> None:
    body = '{"name": "Zoë"}'.encode()
    receiver.answer("/", Answer(200, {"Content-Type": "application/json; charset=utf-8"}, body))
    answer = session.post(receiver.url(), json={"a": 1}, headers={"X-One": ""}, timeout=2)
    assert answer.json() == {"name": "Zoë"}
    assert answer.encoding == "utf-8"
    assert answer.ok
    received = receiver.requests[0]
    assert received.body == b'{"a": 1}'
    assert received.headers["content-type"] == "application/json"
    assert received.headers["accept-encoding"] == "identity"
    assert received.headers["x-one"] == ""


def test_each_redirect_that_a_session_follows_is_guarded(
    session: requests.Session, receiver: Receiver
) -> None:
    receiver.answer("/", Answer(302, {"Location": "/next"}))
    receiver.answer("/next", Answer(302, {"Location": "http://169.254.169.254/latest/"}))
    with pytest.raises(requests.ConnectionError, match="metadata") as caught:
        session.get(receiver.url(), timeout=2)
    assert isinstance(caught.value.__cause__, AddressRefused)
    assert [request.path for request in receiver.requests] == ["/", "/next"]


def test_nobody_listening(session: requests.Session) -> None:
    with pytest.raises(requests.ConnectionError, match="connect"):
        session.get(f"http://127.0.0.1:{free_port()}/", timeout=2)


@pytest.mark.parametrize("timeout", [0.3, (0.1, 0.2), (0.3, None)])
def test_a_deadline(
    session: requests.Session,
    receiver: Receiver,
    timeout: float | tuple[float, float] | tuple[float, None],
) -> None:
    receiver.answer("/", Answer(delay=30))
    with pytest.raises(requests.Timeout, match=r"within 0\.3 s"):
        session.get(receiver.url(), timeout=timeout)


def test_a_url_that_cannot_be_called(session: requests.Session) -> None:
    with pytest.raises(requests.exceptions.InvalidURL, match="user name"):
        session.get("http://me:hush@example.com/", timeout=2, auth=lambda request: request)


@pytest.mark.parametrize("verify", [True, False])
def test_certificates_are_verified_whatever_a_call_asks_for(
    tmp_path_factory: pytest.TempPathFactory, verify: bool
) -> None:
    pem = Authority(tmp_path_factory.mktemp("certificates")).issue("127.0.0.1")
    with (
        Simulator(Behaviour(), tls=server_context(pem)) as simulator,
        mounted(LOOPBACK) as session,
        pytest.raises(requests.exceptions.SSLError, match="certificate"),
    ):
        session.get(simulator.url(), timeout=2, verify=verify)


def test_what_is_not_http(session: requests.Session) -> None:
    with (
        Simulator(Behaviour(mode="not-http")) as simulator,
        pytest.raises(requests.ConnectionError, match=r"HTTP/0\.9"),
    ):
        session.get(simulator.url(), timeout=2)


def test_a_stream_is_refused_before_anything_is_sent(
    session: requests.Session, receiver: Receiver
) -> None:
    with pytest.raises(requests.RequestException, match="text or bytes"):
        session.post(receiver.url(), data=iter([b"a", b"b"]), timeout=2)
    assert not receiver.requests


def test_every_exception_has_durians_own_as_its_cause(session: requests.Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(requests.RequestException) as caught:
            session.get(f"http://127.0.0.1:{port}/", timeout=0.1)
    assert isinstance(caught.value.__cause__, DeliveryError)
    assert caught.value.request is not None

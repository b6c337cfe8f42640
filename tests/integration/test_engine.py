"""HTTP as promised, by the engine and by the blocking exchange alike; and what the engine adds."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from queue import SimpleQueue

import pycares
import pytest
import requests
from requests import PreparedRequest, Response

from deliverer.answer import MAX_ANSWER, MAX_HEADERS
from deliverer.engine import Took
from deliverer.http import Result, Settings, name_of
from durian.errors import (
    AddressRefused,
    ConnectionFailed,
    DeadlineExceeded,
    Unavailable,
)
from durian.guard import Guard
from durian.simulator import Behaviour, Simulator
from durian.simulator.certificates import Authority
from tests.integration import few_files
from tests.integration.conformance import (
    LOOPBACK,
    WAYS,
    Call,
    Caller,
    call,
    caller,
    post,
    running,
    through,
)
from tests.servers.free import free_port, wait_until
from tests.servers.nginx import PrivateNginx
from tests.servers.proxy import running_proxy
from tests.servers.receiver import Answer, Receiver
from tests.servers.tcp_proxy import TcpProxy

__all__ = ["call", "caller"]


@pytest.fixture(scope="module")
def tls_nginx(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[PrivateNginx, Settings]]:
    """An nginx that speaks HTTP/2 over TLS, and settings that trust it."""
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    nginx = PrivateNginx(authority.issue("127.0.0.1"))
    nginx.start()
    yield nginx, replace(LOOPBACK, ca_bundle=str(authority.bundle))
    nginx.stop()


def answered(result: Result) -> Response:
    """Return the answer, or raise the error that came in its place."""
    if isinstance(result, Exception):
        raise result
    return result


def test_the_receiver_gets_the_request_and_we_get_its_answer(
    call: Call, receiver: Receiver
) -> None:
    receiver.answer("/hook", Answer(201, {"X-Seen": "yes"}, b"thanks"))
    response = answered(call(post(receiver.url("/hook?a=1"), b'{"n": 1}', X_One="1"), 2))
    received = receiver.at("/hook?a=1") or receiver.at("/hook")
    assert received[0].method == "POST"
    assert received[0].body == b'{"n": 1}'
    assert received[0].headers["x_one"] == "1"
    assert "expect" not in received[0].headers
    assert response.url == receiver.url("/hook?a=1")


def test_the_answer_comes_in_the_words_of_requests(call: Call, receiver: Receiver) -> None:
    receiver.answer("/", Answer(503, {"Retry-After": "5"}, b"later"))
    response = answered(call(post(receiver.url()), 2))
    assert (response.status_code, response.reason) == (503, "Service Unavailable")
    assert response.headers["retry-after"] == "5"
    assert response.content == b"later"


def test_a_redirect_is_an_answer_and_is_not_followed(call: Call, receiver: Receiver) -> None:
    receiver.answer("/", Answer(307, {"Location": receiver.url("/elsewhere")}))
    assert answered(call(post(receiver.url()), 2)).status_code == 307
    assert not receiver.at("/elsewhere")


@pytest.mark.parametrize("size", [MAX_ANSWER - 1, MAX_ANSWER, MAX_ANSWER + 1, 10 * MAX_ANSWER])
def test_no_more_than_the_limit_is_kept_of_an_answer(
    call: Call, receiver: Receiver, size: int
) -> None:
    receiver.answer("/", Answer(200, {}, b"x" * size))
    response = answered(call(post(receiver.url()), 2))
    assert response.status_code == 200
    assert response.content == b"x" * min(size, MAX_ANSWER)


def test_no_more_than_the_limit_is_kept_of_headers(call: Call, receiver: Receiver) -> None:
    headers = {f"X-{number}": "v" * 1000 for number in range(100)}
    receiver.answer("/", Answer(200, headers))
    response = answered(call(post(receiver.url()), 2))
    assert response.status_code == 200
    assert 10_000 < sum(map(len, response.headers.values())) <= MAX_HEADERS


def test_the_deadline_covers_the_whole_exchange(call: Call, receiver: Receiver) -> None:
    receiver.answer("/", Answer(200, delay=30))
    began = time.monotonic()
    result = call(post(receiver.url()), 0.5)
    assert time.monotonic() - began < 1.5
    assert isinstance(result, DeadlineExceeded)
    assert "within 0.5 s" in str(result)


def test_nobody_listening_is_named(call: Call) -> None:
    port = free_port()
    result = call(post(f"http://127.0.0.1:{port}/"), 2)
    assert isinstance(result, ConnectionFailed)
    assert str(port) in str(result)
    assert not result.permanent


def test_a_private_address_is_refused_for_good(call: Call) -> None:
    result = call(post("http://10.0.0.1/"), 2)
    assert isinstance(result, AddressRefused)
    assert result.permanent


def test_proxies_and_passwords_of_the_environment_are_ignored(
    call: Call, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    netrc = os.path.join(tmp_path, ".netrc")
    with open(netrc, "w") as file:
        file.write("machine 127.0.0.1 login me password hush\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", netrc)
    assert answered(call(post(receiver.url()), 2)).status_code == 200
    assert "authorization" not in receiver.requests[0].headers


def test_a_cookie_is_not_sent_back(call: Call, receiver: Receiver) -> None:
    receiver.answer("/", Answer(200, {"Set-Cookie": "session=1; Path=/"}))
    for _ in range(2):
        answered(call(post(receiver.url()), 2))
    assert "cookie" not in receiver.requests[1].headers


def test_a_header_cannot_split_lines(call: Call, receiver: Receiver) -> None:
    request = post(receiver.url())
    request.headers["X-Name"] = "value\r\nX-Other: value"
    result = call(request, 2)
    assert isinstance(result, ConnectionFailed)
    assert "line break" in str(result)
    assert not receiver.requests


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("HEAD", None), ("PUT", b"data")])
def test_other_methods_are_sent_as_they_are(
    call: Call, receiver: Receiver, method: str, body: bytes | None
) -> None:
    answered(call(requests.Request(method, receiver.url(), data=body).prepare(), 2))
    (received,) = receiver.requests
    assert (received.method, received.body) == (method, body or b"")
    assert "content-type" not in received.headers


def test_the_proxy_of_the_settings_is_used(caller: Caller, receiver: Receiver) -> None:
    with running_proxy() as proxy:
        call = caller(replace(LOOPBACK, proxy=proxy.url))
        assert answered(call(post(receiver.url("/hook")), 2)).status_code == 200
        assert proxy.asked == [f"POST {receiver.url('/hook')}"]
    assert len(receiver.requests) == 1


def test_a_proxy_that_cannot_be_read_is_not_repeated_with_its_password(caller: Caller) -> None:
    call = caller(replace(LOOPBACK, proxy="http://me:hunter2@pw@127.0.0.1:3128"))
    result = call(post("http://127.0.0.1/"), 2)
    assert isinstance(result, ConnectionFailed)
    assert "the proxy" in str(result)
    assert "hunter2" not in str(result)


def test_a_proxy_carries_tls_in_a_tunnel_and_sees_no_header(
    caller: Caller, tls_nginx: tuple[PrivateNginx, Settings]
) -> None:
    nginx, settings = tls_nginx
    with running_proxy() as proxy:
        call = caller(replace(settings, proxy=proxy.url))
        request = post(nginx.tls_url(), b"{}", **{"webhook-signature": "v1,hush"})
        assert answered(call(request, 2)).status_code == 204
        assert proxy.asked == [f"CONNECT 127.0.0.1:{nginx.tls_port}"]
        assert "webhook-signature" not in proxy.headers


def test_behind_a_proxy_a_private_address_in_the_url_is_refused_all_the_same(
    caller: Caller,
) -> None:
    with running_proxy() as proxy:
        call = caller(replace(LOOPBACK, proxy=proxy.url))
        assert isinstance(call(post("http://10.0.0.1/"), 2), AddressRefused)
        assert not proxy.asked


def test_http2_where_the_receiver_speaks_it(
    caller: Caller, tls_nginx: tuple[PrivateNginx, Settings]
) -> None:
    nginx, settings = tls_nginx
    response = answered(caller(settings)(post(nginx.tls_url("/connection")), 2))
    assert response.text.startswith("HTTP/2.0 ")
    assert response.headers["content-length"]


@pytest.mark.parametrize("way", ["engine", "session"])
@pytest.mark.parametrize("tls", [False, True])
def test_connections_are_reused(
    way: str, tls: bool, tls_nginx: tuple[PrivateNginx, Settings]
) -> None:
    nginx, settings = tls_nginx
    url = nginx.tls_url("/connection") if tls else nginx.url("/connection")
    with WAYS[way](settings) as call:
        assert len({answered(call(post(url), 2)).text for _ in range(20)}) == 1


def test_nothing_of_an_exchange_is_left_in_the_next_one(receiver: Receiver) -> None:
    receiver.answer("/first", Answer(500, {"X-Old": "1"}, b"old"))
    with running(LOOPBACK) as engine:
        answered(through(engine)(post(receiver.url("/first"), b"long body" * 99, X_Secret="1"), 2))
        request = requests.Request("HEAD", receiver.url("/head")).prepare()
        answered(through(engine)(request, 2))
        response = answered(through(engine)(post(receiver.url("/second"), b"b"), 2))
    assert (response.status_code, response.content) == (200, b"")
    assert "x-old" not in response.headers
    last = receiver.requests[-1]
    assert (last.method, last.body) == ("POST", b"b")
    assert "x_secret" not in last.headers


def test_a_hanging_receiver_does_not_hold_up_another(receiver: Receiver) -> None:
    receiver.answer("/slow", Answer(200, delay=30))
    results: SimpleQueue[Result] = SimpleQueue()
    with running(LOOPBACK) as engine:
        for _ in range(100):
            engine.submit(post(receiver.url("/slow")), 20, lambda result, took: None)
        engine.submit(post(receiver.url("/fast")), 20, lambda result, took: results.put(result))
        assert answered(results.get(timeout=5)).status_code == 200


def test_what_an_idle_process_waits_for_is_the_receivers(receiver: Receiver) -> None:
    receiver.answer("/slow", Answer(200, delay=0.5))
    (took,) = times([post(receiver.url("/slow"))])
    assert 0.3 < took.receiver <= took.total < 1.0


def test_what_the_process_is_busy_with_is_not_the_receivers(receiver: Receiver) -> None:
    receiver.answer("/later", Answer(200, delay=0.1))
    found = times([post(receiver.url()), post(receiver.url("/later"))], busy=0.5)
    assert found[-1].total > 0.45
    assert found[-1].receiver < 0.2


def test_what_is_begun_slowly_is_not_the_receivers(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(request: PreparedRequest, settings: Settings) -> str:
        time.sleep(0.01)
        return name_of(request, settings)

    monkeypatch.setattr("deliverer.engine.name_of", slow)
    found = times([post(receiver.url())] * 50)
    assert max(took.total for took in found) > 0.4
    assert receivers_part(found) < 0.25


def test_what_waits_behind_thousands_of_answers_is_not_the_receivers(
    tls_nginx: tuple[PrivateNginx, Settings],
) -> None:
    nginx, _ = tls_nginx
    found = times([post(nginx.url())] * 4000, busy=0.0005)
    assert max(took.total for took in found) > 1.5
    assert receivers_part(found[-100:]) < 0.25


def test_what_connecting_takes_is_not_the_receivers(
    tls_nginx: tuple[PrivateNginx, Settings],
) -> None:
    nginx, settings = tls_nginx
    proxy = TcpProxy(nginx.tls_port)
    proxy.delay = 0.2
    try:
        (took,) = times([post(f"https://127.0.0.1:{proxy.port}/")], settings)
    finally:
        proxy.close()
    # Once there and back to agree on TLS, and once for the request.
    assert took.total > 0.8
    assert 0.25 < took.receiver < 0.6


def times(
    requests: Sequence[PreparedRequest], settings: Settings = LOOPBACK, busy: float = 0.0
) -> list[Took]:
    """Return what exchanges took that were begun at once, whose ends take `busy` seconds each."""
    ended: SimpleQueue[Took] = SimpleQueue()

    def on_result(result: Result, took: Took) -> None:
        answered(result)
        time.sleep(busy)
        ended.put(took)

    with running(settings) as engine:
        for request in requests:
            engine.submit(request, 10, on_result)
        return [ended.get(timeout=10) for _ in requests]


def receivers_part(found: Sequence[Took]) -> float:
    """Return which part of the time was the receiver's."""
    return sum(took.receiver for took in found) / sum(took.total for took in found)


def test_a_failing_callback_is_logged_and_ends_no_other_exchange(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(result: Result, took: Took) -> None:
        raise RuntimeError("a fault of durian")

    with running(LOOPBACK) as engine:
        engine.submit(post(receiver.url()), 2, fail)
        assert answered(through(engine)(post(receiver.url()), 2)).status_code == 200
    assert "a fault of durian" in caplog.text


def test_a_fault_while_a_socket_is_opened_is_logged_and_ends_that_exchange_alone(
    caller: Caller, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Guard):
        calls = 0

        def check_address(self, address: str, host: str, port: int) -> None:
            self.calls += 1  # by the URL, then by the first connection
            if self.calls == 2:
                raise RuntimeError("a fault of durian")

    call = caller(Settings(Faulty()))
    result = call(post(receiver.url()), 2)
    assert isinstance(result, ConnectionFailed)
    assert "a fault of durian" in str(result)
    assert "Traceback" in caplog.text
    assert answered(call(post(receiver.url()), 2)).status_code == 200


def test_a_fault_while_a_request_is_made_ends_that_exchange_alone(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    request = post(receiver.url())
    request.headers["X-Number"] = 5  # type: ignore[assignment]
    with running(LOOPBACK) as engine:
        assert isinstance(through(engine)(request, 2), ConnectionFailed)
        assert answered(through(engine)(post(receiver.url()), 2)).status_code == 200
    assert "Traceback" in caplog.text


def test_a_fault_while_a_name_is_looked_up_ends_that_exchange_alone(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise pycares.AresError(pycares.errno.ARES_ENOMEM, "Out of memory")

    url = receiver.url().replace("127.0.0.1", "localhost")
    with running(LOOPBACK) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(pycares.Channel, "getaddrinfo", fail)
            result = through(engine)(post(url), 2)
        assert isinstance(result, ConnectionFailed)
        assert "localhost cannot be looked up: ARES_ENOMEM" in str(result)
        assert answered(through(engine)(post(url), 2)).status_code == 200
    assert "Out of memory" in caplog.text


def test_an_engine_that_fails_answers_whoever_waits_and_takes_no_more(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault of durian")

    with running(LOOPBACK) as engine:
        monkeypatch.setattr(engine, "_collect", fail)
        assert isinstance(through(engine)(post(receiver.url()), 2), ConnectionFailed)
        with pytest.raises(Unavailable, match="stopped"):
            through(engine)(post(receiver.url()), 2)
    assert "a fault of durian" in caplog.text


def test_stopping_ends_what_is_under_way_and_what_waits(receiver: Receiver) -> None:
    receiver.answer("/", Answer(200, delay=30))
    results: list[Result] = []
    with running(LOOPBACK) as engine:
        for _ in range(10):
            engine.submit(post(receiver.url()), 30, lambda result, took: results.append(result))
        receiver.wait_for(10)
    assert len(results) == 10
    assert all(isinstance(result, ConnectionFailed) for result in results)
    with pytest.raises(Unavailable, match="stopped"):
        engine.submit(post(receiver.url()), 2, lambda result, took: None)


def test_more_in_flight_than_a_shell_lets_files_be_open() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    results: SimpleQueue[Result] = SimpleQueue()
    try:
        with Simulator(Behaviour(latency=0.5)) as simulator, running(LOOPBACK) as engine:
            for _ in range(300):
                request = post(simulator.url())
                engine.submit(request, 20, lambda result, took: results.put(result))
            assert {answered(results.get(timeout=20)).status_code for _ in range(300)} == {200}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_idle_connections_leave_room_for_others_where_files_are_few() -> None:
    """In a process of its own, since none gets back a limit that it has given up."""
    with ExitStack() as stack:
        slow = Behaviour(latency=0.5)
        urls = [stack.enter_context(Simulator(slow)).url() for _ in range(3)]
        done = subprocess.run(
            [sys.executable, "-m", few_files.__name__, *urls],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.split() == ["200"] * 300, done.stderr


def test_ten_thousand_exchanges_leave_no_descriptor(
    tls_nginx: tuple[PrivateNginx, Settings],
) -> None:
    nginx, settings = tls_nginx
    refused = f"http://127.0.0.1:{free_port()}/"
    # The last one's answer is cut, which costs its connection.
    urls = [nginx.url(), nginx.tls_url(), refused, nginx.url("/large")]
    results: SimpleQueue[Result] = SimpleQueue()
    before = _descriptors()
    with running(settings) as engine:
        for number in range(10_000):
            request = post(urls[number % len(urls)])
            engine.submit(request, 60, lambda result, took: results.put(result))
            if number >= 200:
                results.get(timeout=60)
        for _ in range(200):
            results.get(timeout=60)
        assert _descriptors() < before + 450  # 200 in flight, to either of two ports
    # The pipe of its wake-up lives as long as the engine does.
    wait_until(lambda: _descriptors() <= before + 2, 5, "all descriptors are given back")


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))

"""HTTP as promised, by the engine and by the blocking exchange alike; and what the engine adds."""

import os
import threading
import time
from queue import SimpleQueue

import pytest
import requests
from requests import Response

from deliverer.http import MAX_ANSWER, MAX_HEADERS, Result
from durian.errors import (
    AddressRefused,
    ConnectionFailed,
    DeadlineExceeded,
    Unavailable,
)
from tests.integration.conformance import (
    LOOPBACK,
    Call,
    call,
    caller,
    post,
    running,
    through,
)
from tests.servers.free import free_port, wait_until
from tests.servers.receiver import Answer, Receiver

__all__ = ["call", "caller"]


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


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_other_methods_are_sent_as_they_are(call: Call, receiver: Receiver, method: str) -> None:
    data = b"data" if method == "PUT" else None
    request = requests.Request(method, receiver.url(), data=data).prepare()
    call(request, 2)
    if method in ("GET", "HEAD", "PUT"):
        assert receiver.requests[0].method == method
        assert receiver.requests[0].body == (data or b"")
        assert "content-type" not in receiver.requests[0].headers


def test_connections_are_reused(receiver: Receiver) -> None:
    before = threading.active_count()
    with running(LOOPBACK) as engine:
        for _ in range(20):
            answered(through(engine)(post(receiver.url()), 2))
        # The receiver gives each connection a thread; the engine has one.
        assert threading.active_count() <= before + 2


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
            engine.submit(post(receiver.url("/slow")), 20, lambda result, seconds: None)
        engine.submit(post(receiver.url("/fast")), 20, lambda result, seconds: results.put(result))
        assert answered(results.get(timeout=5)).status_code == 200


def test_a_failing_callback_is_logged_and_ends_no_other_exchange(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(result: Result, seconds: float) -> None:
        raise RuntimeError("a fault of durian")

    with running(LOOPBACK) as engine:
        engine.submit(post(receiver.url()), 2, fail)
        assert answered(through(engine)(post(receiver.url()), 2)).status_code == 200


def test_stopping_ends_what_is_under_way_and_what_waits(receiver: Receiver) -> None:
    receiver.answer("/", Answer(200, delay=30))
    results: list[Result] = []
    with running(LOOPBACK) as engine:
        for _ in range(10):
            engine.submit(post(receiver.url()), 30, lambda result, seconds: results.append(result))
        receiver.wait_for(10)
    assert len(results) == 10
    assert all(isinstance(result, ConnectionFailed) for result in results)
    with pytest.raises(Unavailable, match="stopped"):
        engine.submit(post(receiver.url()), 2, lambda result, seconds: None)


def test_ten_thousand_exchanges_leave_no_descriptor(receiver: Receiver) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    refused = f"http://127.0.0.1:{free_port()}/"
    results: SimpleQueue[Result] = SimpleQueue()
    with running(LOOPBACK) as engine:
        for _ in range(10_000):
            engine.submit(post(refused), 20, lambda result, seconds: results.put(result))
        for _ in range(10_000):
            assert isinstance(results.get(timeout=20), ConnectionFailed)
        open_now = len(os.listdir("/proc/self/fd"))
    del engine
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, 5, "descriptors are back")
    assert open_now < descriptors + 20

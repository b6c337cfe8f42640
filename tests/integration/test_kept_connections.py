"""Connections that are kept open for later exchanges, and what may become of them meanwhile."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any

import pytest
from requests import Response

from deliverer import http
from deliverer.engine import Engine
from deliverer.http import Result, Settings
from deliverer.silence import SILENT_SECONDS, Silence
from durian.errors import ConnectionFailed, DeadlineExceeded
from tests.integration.conformance import LOOPBACK, post, running, through
from tests.integration.test_engine import answered, tls_nginx
from tests.servers.free import wait_until
from tests.servers.nginx import PrivateNginx
from tests.servers.tcp_proxy import TcpProxy

__all__ = ["tls_nginx"]


class Closing(ThreadingHTTPServer):
    """Answers the first request of a connection, when `crowd` have come together; at the second it
    closes, as a server does whose worker dies of what it was sent."""

    daemon_threads = True

    def __init__(self, crowd: int) -> None:
        self.together = threading.Barrier(crowd)
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _ClosingHandler)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}/"


class _ClosingHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Closing
    has_answered = False

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        if self.has_answered:
            self.close_connection = True
            return
        self.has_answered = True
        with suppress(threading.BrokenBarrierError):
            self.server.together.wait(2)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@contextmanager
def closing(crowd: int) -> Iterator[Closing]:
    server = Closing(crowd)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def have_kept(engine: Engine, server: Closing) -> None:
    """Have the engine keep as many connections to `server` open as it waits for."""
    results: SimpleQueue[Result] = SimpleQueue()
    for _ in range(server.together.parties):
        engine.submit(post(server.url), 5, lambda result, took: results.put(result))
    for _ in range(server.together.parties):
        answered(results.get(timeout=5))
    server.together.abort()


def test_a_post_on_a_connection_that_the_receiver_closes_is_made_anew() -> None:
    with running(LOOPBACK) as engine, closing(crowd=1) as server:
        have_kept(engine, server)
        body = b"x" * 100_000
        assert answered(through(engine)(post(server.url, body), 5)).status_code == 200
        assert server.bodies[1:] == [body, body]


def test_a_receiver_that_dies_of_a_post_gets_it_twice_at_most() -> None:
    with running(LOOPBACK) as engine, closing(crowd=8) as server:
        have_kept(engine, server)
        result = through(engine)(post(server.url, b"deadly"), 5)
        assert isinstance(result, ConnectionFailed)
        assert "and so did another one" in str(result)
        assert server.bodies.count(b"deadly") == 2


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_connection_that_died_unheard_is_not_taken_again(
    tls: bool, tls_nginx: tuple[PrivateNginx, Settings]
) -> None:
    nginx, settings = tls_nginx
    proxy = TcpProxy(nginx.tls_port if tls else nginx.port)
    url = f"{'https' if tls else 'http'}://127.0.0.1:{proxy.port}/connection"
    try:
        with running(settings) as engine:
            call = through(engine)
            assert answered(call(post(url), 2)).text.startswith("HTTP/2.0" if tls else "HTTP/1.1")
            proxy.forget()
            assert isinstance(call(post(url), 0.5), DeadlineExceeded)
            again = [call(post(url), 2) for _ in range(3)]
            assert [isinstance(one, Response) and one.text[:8] for one in again] == ["HTTP/1.1"] * 3
    finally:
        proxy.close()


def test_a_silent_host_is_left_alone_for_a_while() -> None:
    now = [0.0]
    silence = Silence(clock=lambda: now[0])
    assert not silence
    silence.note(("here", 443))
    now[0] += SILENT_SECONDS / 2
    silence.note(("here", 443))
    now[0] += SILENT_SECONDS - 1
    assert silence.holds(("here", 443))
    assert not silence.holds(("here", 444))
    now[0] += 1
    assert not silence.holds(("here", 443))
    assert not silence


def test_a_connection_is_not_kept_for_ever(
    tls_nginx: tuple[PrivateNginx, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has moved would be called at the old place for as long as somebody answers there."""
    nginx, settings = tls_nginx
    monkeypatch.setattr(http, "LIFETIME_SECONDS", 1)
    with running(settings) as engine:
        call = through(engine)

        def connection() -> str:
            return answered(call(post(nginx.url("/connection")), 2)).text

        first = connection()
        assert connection() == first
        wait_until(lambda: connection() != first, 10, "another connection is taken")

"""A forward proxy: passes plain requests on, makes tunnels, and notes what it was asked for."""

import http.client
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class _Handler(BaseHTTPRequestHandler):
    server: "Proxy"

    def do_POST(self) -> None:
        self.server.asked.append(f"POST {self.path}")
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        onward = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
        onward.request("POST", parts.path, body, dict(self.headers))
        answer = onward.getresponse()
        content = answer.read()
        onward.close()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_CONNECT(self) -> None:
        self.server.asked.append(f"CONNECT {self.path}")
        self.server.headers.extend(name.lower() for name in self.headers)
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as onward:
            self.send_response(200)
            self.end_headers()
            _relay(self.connection, onward)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: what was asked is in `asked`."""


class Proxy(ThreadingHTTPServer):
    """`asked` holds each request's method and target, `headers` the names of CONNECT's headers."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The address that goes into a setting."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running_proxy() -> Iterator[Proxy]:
    """A proxy that is stopped at the end."""
    with Proxy() as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


def _relay(one: socket.socket, other: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                data = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                if not data:
                    return
                key.data.sendall(data)

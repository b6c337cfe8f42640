"""A real HTTP receiver inside the tests' process: it records requests and answers as told."""

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

from tests.servers.free import TimedOut


@dataclass(frozen=True)
class Received:
    """One request as it came; `headers` by lower-case name, `at` by time.monotonic()."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass(frozen=True)
class Answer:
    """What to answer, `delay` seconds after the request has been recorded."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0


Answering = Callable[[Received], Answer]


class Receiver:
    """An HTTP server on 127.0.0.1; a path that has not been told otherwise answers 200."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._received: list[Received] = []
        self._answers: dict[str, Answer | Answering] = {}
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def url(self, path: str = "/") -> str:
        """Return the address of `path`."""
        return f"http://127.0.0.1:{self.port}{path}"

    def answer(self, path: str, answer: Answer | Answering) -> None:
        """From now on answer `answer`, or what it returns for the request, at `path`."""
        self._answers[path] = answer

    @property
    def requests(self) -> Sequence[Received]:
        """All requests so far, in the order in which they were complete."""
        with self._changed:
            return tuple(self._received)

    def at(self, path: str) -> Sequence[Received]:
        """Return the requests to `path` so far."""
        return [request for request in self.requests if request.path == path]

    def wait_for(
        self, enough: int | Callable[[Sequence[Received]], object], timeout: float = 10
    ) -> Sequence[Received]:
        """Return the requests once there are `enough`: a number, or true of them all.

        Raises TimedOut after `timeout` seconds.
        """
        count = enough if isinstance(enough, int) else None
        satisfied = enough if callable(enough) else lambda requests: len(requests) >= (count or 0)
        with self._changed:
            if not self._changed.wait_for(lambda: satisfied(self._received), timeout):
                raise TimedOut(
                    f"waited {timeout:g} s in vain; {len(self._received)} requests came: "
                    f"{[request.path for request in self._received[-20:]]}"
                )
            return tuple(self._received)

    def close(self) -> None:
        """Stop listening; answers that are still delayed are given at once."""
        self._server.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, request: Received) -> Answer:
        """Record `request` and return the answer to it."""
        with self._changed:
            self._received.append(request)
            self._changed.notify_all()
        answer = self._answers.get(request.path, Answer())
        return answer if isinstance(answer, Answer) else answer(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body in one segment: otherwise Nagle's algorithm adds 40 ms to each answer.
    wbufsize = -1
    server: "_Server"

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Received(self.command, self.path, headers, body, time.monotonic())
        answer = self.server.receiver.take(request)
        self.server.closing.wait(answer.delay)
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = _handle

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: what came is in `requests`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Report an error of the handler, but not a client that hung up."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

"""A simulated receiver: a small HTTP server that answers, or misbehaves, as it is told."""

import itertools
import re
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from durian.simulator.behaviour import Behaviour, Seen
from durian.simulator.certificates import TLS_MODES, faulty
from durian.simulator.modes import MODES, NEVER_ACCEPTS

HOST = "127.0.0.1"
_LENGTH = re.compile(r"[0-9]{1,9}")


class Simulator:
    """A receiver that runs within a `with` block, in threads of its own.

    `on_request` is called for each request, before the answer, from the thread of its connection.
    With `tls` it speaks HTTPS. In one of TLS_MODES it does so by itself, and `ca_bundle` is a file:
    who trusts it sees only that fault. Port 0 is one that is free. Raises OSError for a port that
    is not.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        on_request: Callable[[Seen], None] = lambda seen: None,
        *,
        host: str = HOST,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._host = host
        self._at_end = ExitStack()
        self.ca_bundle: Path | None = None
        if behaviour.mode in TLS_MODES:
            directory = self._at_end.enter_context(tempfile.TemporaryDirectory())
            tls, self.ca_bundle = faulty(behaviour.mode, host, Path(directory))
        self._scheme = "https" if tls else "http"
        self._deaf = behaviour.mode == NEVER_ACCEPTS
        backlog = 0 if self._deaf else 1024
        try:
            self._server = _Server(host, port, behaviour, on_request, tls, backlog)
        except OSError:
            self._at_end.close()
            raise
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def url(self, path: str = "/") -> str:
        """Return the address of `path`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self._server.server_port}{path}"

    def __enter__(self) -> "Simulator":
        if self._deaf:
            self._fill_backlog()
        else:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._at_end.close()
        self._server.closing.set()
        if not self._deaf:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def _fill_backlog(self) -> None:
        # What finds the queue full gets no answer at all.
        for _ in range(4):
            caller = self._at_end.enter_context(socket.socket(self._server.address_family))
            caller.setblocking(False)
            caller.connect_ex(self._server.server_address)


class _Gone(ConnectionError):
    """The simulator ends while an answer is under way."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body in one segment: otherwise Nagle's algorithm adds 40 ms to each answer.
    wbufsize = -1
    server: "_Server"

    def send(self, data: bytes) -> None:
        """Send `data` at once."""
        self.wfile.write(data)
        self.wfile.flush()

    def pause(self, seconds: float) -> None:
        """Wait; raises an OSError when the simulator ends."""
        if self.server.closing.wait(seconds):
            raise _Gone

    def reset(self) -> None:
        """Cut the connection by an RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _handle(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not _LENGTH.fullmatch(length):
            self.send_error(400)
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        behaviour = self.server.behaviour
        signature = behaviour.judge(headers, body)
        mode = MODES.get(behaviour.mode)
        status = 0 if mode else behaviour.status(next(self.server.numbers), signature)
        self.server.on_request(
            Seen(time.time(), self.command, self.path, headers, body, signature, status)
        )
        if mode:
            self.close_connection = True
            mode(self)
        else:
            self._answer(behaviour, status)

    def _answer(self, behaviour: Behaviour, status: int) -> None:
        self.pause(behaviour.latency)
        self.send_response(status)
        if behaviour.retry_after and not 200 <= status < 300:
            self.send_header("Retry-After", behaviour.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = _handle

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: who wants to know has `on_request`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        host: str,
        port: int,
        behaviour: Behaviour,
        on_request: Callable[[Seen], None],
        tls: ssl.SSLContext | None,
        backlog: int,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.request_queue_size = backlog
        self.behaviour = behaviour
        self.on_request = on_request
        self.closing = threading.Event()
        self.numbers = itertools.count()
        super().__init__((host, port), _Handler)
        if tls:
            # The handshake is the connection's own thread's, or a slow one would stop them all.
            self.socket = tls.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error of the handler, but not a sender that hung up."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

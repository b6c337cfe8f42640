"""A receiver that answers each request 204 after the same delay, thousands at once, in a process.

    python -m tests.servers.slow PORT SECONDS LOG ADDRESS …

A line for each request goes to LOG once it is answered: when it came, in seconds since the epoch,
and its `webhook-id`. One thread, no framework: it must cost little beside what is measured.
"""

import itertools
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from tests.servers.free import free_port
from tests.servers.process import ServerProcess

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
NAME = b"webhook-id: "
LENGTH = b"content-length: "
FLUSH_SECONDS = 0.05


class Delayed:
    """The server of the process; `serve` does not return."""

    def __init__(self, port: int, delay: float, log: Path, addresses: Sequence[str]) -> None:
        self._poll = select.epoll()
        self._listening: dict[int, socket.socket] = {}
        for address in addresses:
            self._listen(address, port)
        self._open: dict[int, socket.socket] = {}
        self._received: dict[int, bytes] = {}
        # All wait equally long, so who came first is due first.
        self._due: deque[tuple[float, socket.socket, str]] = deque()
        self._delay = delay
        self._log = log
        self._lines: list[str] = []
        self._flush_at = 0.0

    def _listen(self, address: str, port: int) -> None:
        server = socket.create_server((address, port), backlog=4096)
        server.setblocking(False)
        self._listening[server.fileno()] = server
        self._poll.register(server, select.EPOLLIN)

    def serve(self) -> None:
        """Answer until the process is ended."""
        while True:
            for descriptor, _ in self._poll.poll(self._patience()):
                if server := self._listening.get(descriptor):
                    self._accept(server)
                else:
                    self._read(descriptor)
            self._answer()
            self._flush()

    def _patience(self) -> float:
        wait = FLUSH_SECONDS
        return min(wait, max(self._due[0][0] - time.monotonic(), 0.0)) if self._due else wait

    def _accept(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        connection.setblocking(False)
        self._open[connection.fileno()] = connection
        self._poll.register(connection, select.EPOLLIN)

    def _read(self, descriptor: int) -> None:
        connection = self._open[descriptor]
        try:
            data = connection.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            del self._open[descriptor]
            self._received.pop(descriptor, None)
            connection.close()
            return
        data = self._received.pop(descriptor, b"") + data
        if _complete(data):
            name = _value(data.lower(), NAME).decode()
            line = f"{time.time():.6f} {name}\n"
            self._due.append((time.monotonic() + self._delay, connection, line))
        else:
            self._received[descriptor] = data

    def _answer(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            _, connection, line = self._due.popleft()
            if connection.fileno() >= 0:
                connection.send(ANSWER)
                self._lines.append(line)

    def _flush(self) -> None:
        if self._lines and time.monotonic() >= self._flush_at:
            self._flush_at = time.monotonic() + FLUSH_SECONDS
            with self._log.open("a") as log:
                log.writelines(self._lines)
            self._lines.clear()


def _complete(data: bytes) -> bool:
    head, found, body = data.partition(b"\r\n\r\n")
    return bool(found) and len(body) >= int(_value(head.lower(), LENGTH) or b"0")


def _value(text: bytes, name: bytes) -> bytes:
    return text.partition(name)[2].partition(b"\r\n")[0]


class SlowReceiver:
    """That process: `delay` in seconds, `arrivals` its log, in `folder`.

    It has so many `hosts`, each an address of this machine: what makes the POSTs keeps connections
    to each.
    """

    def __init__(self, folder: Path, delay: float, hosts: int) -> None:
        self.port = free_port()
        self._addresses = [f"127.0.0.{number}" for number in range(1, hosts + 1)]
        self._next = itertools.cycle(self._addresses)
        self.arrivals = folder / f"slow-{self.port}.log"
        self.arrivals.touch()
        command = [sys.executable, "-m", "tests.servers.slow"]
        command += [str(self.port), str(delay), str(self.arrivals), *self._addresses]
        env = {"PYTHONPATH": str(Path(__file__).parents[2])}
        self.process = ServerProcess(command, env, folder / f"slow-{self.port}-output.log")

    def url(self, path: str = "/") -> str:
        """Return the address of `path` at the next of its hosts."""
        return f"http://{next(self._next)}:{self.port}{path}"

    def start(self) -> None:
        """Start it; return when it takes connections."""
        self.process.start(ready=self._answers)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            # It listens to this one last.
            return probe.connect_ex((self._addresses[-1], self.port)) == 0

    def stop(self) -> None:
        """End it."""
        self.process.kill()


if __name__ == "__main__":
    Delayed(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]).serve()

"""A TCP proxy that misbehaves on demand: cut, delay, throttle or black-hole what passes."""

import contextlib
import socket
import threading
import time

from tests.servers.free import free_port

CHUNK = 16_384


class TcpProxy:
    """Forwards connections to `target`, a port of 127.0.0.1, from a port of its own.

    `delay` is in seconds for each chunk and way, `rate` in bytes a second (0: as fast as it goes);
    while `hole` is set nothing passes and nobody is told.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.delay = 0.0
        self.rate = 0
        self.hole = threading.Event()
        self._target = target
        self._closing = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset every connection that passes through."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _close(end)

    def close(self) -> None:
        """Take no more connections and cut the others."""
        self._closing = True
        _close(self._listener)
        self.cut()

    def _accept(self) -> None:
        while not self._closing:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                if self._closing:
                    return
                near.close()
                continue
            self._pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if self.rate:
                    time.sleep(len(data) / self.rate)
                time.sleep(self.delay)
                while self.hole.is_set():
                    time.sleep(0.05)
                sink.sendall(data)
        _close(source)
        _close(sink)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()

"""A TCP proxy that misbehaves on demand: cut, tear, forget, delay, throttle, refuse, black-hole."""

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
        self._tear_at = b""
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._forgotten: set[socket.socket] = set()
        self.open()

    def open(self) -> None:
        """Take connections: at the beginning, and again after `close`."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Reset every connection that passes through."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _close(end)

    def forget(self) -> None:
        """Pass nothing on any more through the connections that are there, and tell nobody."""
        for pair in self._pairs:
            self._forgotten.update(pair)

    def tear(self, pattern: bytes) -> None:
        """Cut one connection in the middle of what it sends: right behind the next `pattern`."""
        self._tear_at = pattern

    @property
    def torn(self) -> bool:
        """Whether what `tear` asked for has come to be."""
        return not self._tear_at

    def close(self) -> None:
        """Refuse connections from now on, and cut the others."""
        _close(self._listener)
        self.cut()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            self._pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if source in self._forgotten:
                    continue
                if self.rate:
                    time.sleep(len(data) / self.rate)
                time.sleep(self.delay)
                while self.hole.is_set():
                    time.sleep(0.05)
                end = self._end_of_tear(data)
                sink.sendall(data[:end])
                if end:
                    break
        _close(source)
        _close(sink)

    def _end_of_tear(self, data: bytes) -> int | None:
        pattern = self._tear_at
        if not pattern or pattern not in data:
            return None
        self._tear_at = b""
        return data.index(pattern) + len(pattern)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()

"""Buffers between py-amqp and its socket.

py-amqp asks the system for each part of each frame, and sends each frame by itself. Here one call
reads many frames, and what was written goes out together: at `flush`, and before py-amqp waits for
an answer.
"""

import socket
from collections.abc import Iterator
from typing import Any

from durian.wire.frames import END, START, Frame

CHUNK = 256 * 1024
MOST_UNSENT = 128 * 1024
"""How many bytes may wait for the next `flush`: a broker that has work does not slow us."""


class Buffers:
    """The bytes of one connection that were read and not used, or written and not sent.

    Raises OSError when the connection is lost, or TimeoutError after the socket's own timeout.
    """

    def __init__(self, transport: Any) -> None:
        self._socket: socket.socket = transport.sock
        self._received = b""
        self._used = 0
        self._unsent = bytearray()
        # What subclasses of py-amqp's transport define: all that it reads and writes comes by here.
        transport._read = self._read
        transport._write = self.write

    def receive(self) -> None:
        """Read what has arrived, or wait for it."""
        data = self._socket.recv(CHUNK)
        if not data:
            raise ConnectionResetError("The broker closed the connection.")
        self._received = self._received[self._used :] + data
        self._used = 0

    def frames(self) -> Iterator[Frame]:
        """Yield the frames that were received whole."""
        while (start := self._used + START.size) <= len(self._received):
            kind, channel, size = START.unpack_from(self._received, self._used)
            end = start + size
            if end >= len(self._received):
                return
            if self._received[end] != END:
                raise ConnectionError("The broker sent a frame without an end.")
            self._used = end + 1
            yield kind, channel, self._received[start:end]

    def flush(self) -> None:
        """Send what was written."""
        if self._unsent:
            self._socket.sendall(self._unsent)
            self._unsent.clear()

    def write(self, data: bytes | memoryview) -> None:
        """Have `data` sent by the next `flush`; when much waits already, at once."""
        self._unsent += data
        if len(self._unsent) >= MOST_UNSENT:
            self.flush()

    def _read(self, size: int, initial: bool = False) -> bytes:
        while len(self._received) - self._used < size:
            self.flush()
            self.receive()
        start, self._used = self._used, self._used + size
        return self._received[start : self._used]

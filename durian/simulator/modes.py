"""Ways to be a bad receiver: what each sends once it has read a request.

A webhook sender has to survive all of them, in time and in bounded memory.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

GIGABYTE = 1024**3
FOR_EVER = 3600.0


class Connection(Protocol):
    """What a mode can do; every method raises OSError when the sender or the simulator is gone."""

    def send(self, data: bytes) -> None:
        """Send `data`, as slowly as the sender reads it."""

    def pause(self, seconds: float) -> None:
        """Send nothing for so long."""

    def reset(self) -> None:
        """Cut the connection."""


Mode = Callable[[Connection], None]


def never_answers(connection: Connection) -> None:
    """Accept the request and never answer."""
    connection.pause(FOR_EVER)


def slow_headers(connection: Connection) -> None:
    """Send one byte of the headers each second."""
    _drip(connection, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"z" * 3600)


def slow_body(connection: Connection) -> None:
    """Send one byte of the body each second, for ever."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    _drip(connection, b"z" * 1_000_000)


def huge_body(connection: Connection) -> None:
    """Send 10 GB of body."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (10 * GIGABYTE))
    block = b"z" * 65_536
    for _ in range(10 * GIGABYTE // len(block)):
        connection.send(block)


def gzip_bomb(connection: Connection) -> None:
    """Send 10 MB that gzip makes 10 GB of."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
    for block in _compressed_zeros(10 * GIGABYTE):
        connection.send(block)


def huge_headers(connection: Connection) -> None:
    """Send 100 kB of headers."""
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"z" * 1000) for number in range(100))
    connection.send(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n")


def endless_headers(connection: Connection) -> None:
    """Send headers for ever."""
    connection.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.send(b"X-Again: " + b"z" * 1000 + b"\r\n")


def endless_1xx(connection: Connection) -> None:
    """Send "103 Early Hints" for ever."""
    while True:
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n")
        connection.pause(0.001)


def not_http(connection: Connection) -> None:
    """Answer with something that is not HTTP."""
    connection.send(b"220 mail.example ESMTP ready\r\n")


def bad_chunks(connection: Connection) -> None:
    """Send a chunk whose length is no number."""
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzebra\r\nhello\r\n")


def redirect_loop(connection: Connection) -> None:
    """Redirect to the same address."""
    _redirect(connection, b"302 Found", b"/")


def redirect_private(connection: Connection) -> None:
    """Redirect to the metadata service of a cloud."""
    _redirect(connection, b"302 Found", b"http://169.254.169.254/latest/meta-data/")


def redirect_with_body(connection: Connection) -> None:
    """Redirect with 307, which asks for the body to be sent again."""
    _redirect(connection, b"307 Temporary Redirect", b"/again")


def reset(connection: Connection) -> None:
    """Reset the connection in the middle of the answer."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of")
    connection.reset()


def http10(connection: Connection) -> None:
    """Answer with HTTP/1.0, the end of the connection being the end of the body."""
    connection.send(b"HTTP/1.0 200 OK\r\n\r\nthanks")


MODES: dict[str, Mode] = {
    mode.__name__.replace("_", "-"): mode
    for mode in (
        never_answers,
        slow_headers,
        slow_body,
        huge_body,
        gzip_bomb,
        huge_headers,
        endless_headers,
        endless_1xx,
        not_http,
        bad_chunks,
        redirect_loop,
        redirect_private,
        redirect_with_body,
        reset,
        http10,
    )
}
"""What can go wrong after a request was read, by the name that `--mode` takes."""

NEVER_ACCEPTS = "never-accepts"
"""The mode that reads no request, nor takes the connection."""


def _drip(connection: Connection, data: bytes) -> None:
    for byte in data:
        connection.send(bytes([byte]))
        connection.pause(1.0)


def _redirect(connection: Connection, status: bytes, location: bytes) -> None:
    head = b"HTTP/1.1 %s\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"
    connection.send(head % (status, location))


def _compressed_zeros(size: int) -> Iterator[bytes]:
    squeeze = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    block = bytes(2**20)
    for _ in range(size // len(block)):
        if compressed := squeeze.compress(block):
            yield compressed
    yield squeeze.flush()

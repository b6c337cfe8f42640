"""What a receiver answers: kept within bounds while it comes in, then a Response of requests."""

import io
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from http import HTTPStatus

from requests import PreparedRequest, Response
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

MAX_ANSWER = 16 * 1024
"""Bytes that are kept of an answer's body; the rest is not read."""

MAX_HEADERS = 16 * 1024
"""Bytes that are kept of an answer's headers; libcurl itself gives up after 300 kB."""

MAX_STATUS_LINE = 100
"""Characters of an incomplete answer's first line that are repeated."""


class Answer:
    """The lines and the bytes that have come so far, as libcurl hands them over."""

    __slots__ = ("_body", "_lines", "_size")

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self._body = b""

    def take_line(self, line: bytes) -> None:
        """Take the status line or a header."""
        if line.startswith(b"HTTP/"):  # that of a proxy and 1xx are followed by another one
            self._lines, self._size = [], 0
        self._size += len(line)
        if self._size <= MAX_HEADERS:
            self._lines.append(line)

    def take_body(self, data: bytes) -> int | None:
        """Take a part of the body, and say how much of it in libcurl's way: None for all."""
        room = MAX_ANSWER - len(self._body)
        self._body += data[:room]
        # Taking less than was offered ends the exchange: the rest is not worth its bytes.
        return None if len(data) <= room else 0

    @property
    def full(self) -> bool:
        """Whether as much has come of the body as is kept."""
        return len(self._body) == MAX_ANSWER

    @property
    def begun(self) -> str:
        """The first line, shortened; empty if none has come."""
        first = self._lines[0] if self._lines else b""
        return first.decode("latin-1").rstrip()[:MAX_STATUS_LINE]

    def response(self, request: PreparedRequest, status: int) -> Response:
        """Return the whole as the answer to `request`."""
        response = _Response(self._lines[1:])
        response.status_code = status
        response.reason = _reason(status)
        response.url = request.url or ""
        response.request = request
        response.raw = io.BytesIO(self._body)
        response._content = self._body
        response._content_consumed = True  # type: ignore[attr-defined]
        return response


class _Response(Response):
    """A Response that makes its headers and its jar of cookies when it is asked for them.

    Often its status is enough, and the two take longer than all the rest of it.
    """

    def __init__(self, lines: Sequence[bytes]) -> None:
        vars(self).update(_EMPTY, history=[])
        self._lines = lines

    @cached_property
    def headers(self) -> CaseInsensitiveDict[str]:  # type: ignore[override]
        """The headers."""
        return CaseInsensitiveDict(_pairs(self._lines))

    @cached_property
    def cookies(self) -> RequestsCookieJar:  # type: ignore[override]
        """Cookies; none, as none is kept."""
        return RequestsCookieJar()


# What a new Response has, but for what each needs one of its own of.
_OWN = {"headers", "cookies", "history"}
_EMPTY = {name: value for name, value in vars(Response()).items() if name not in _OWN}


def _pairs(lines: Sequence[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            yield name.strip(), value.strip()


@lru_cache
def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""

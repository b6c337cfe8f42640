"""HTTP by libcurl, in the words of requests: a PreparedRequest in, a Response out.

One deadline covers connecting, TLS, sending and receiving. Redirects are not followed, TLS is
verified, every address is shown to the guard when its socket is opened, nothing of the environment
(proxies, .netrc) is used, and at most MAX_ANSWER bytes of an answer are kept.
"""

import io
import socket
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import certifi
import pycurl
from requests import PreparedRequest, Response
from requests.structures import CaseInsensitiveDict

from durian.errors import (
    AddressRefused,
    ConnectionFailed,
    DeadlineExceeded,
    DeliveryError,
    InvalidAnswer,
    InvalidURL,
    TLSFailed,
)
from durian.guard import Guard

MAX_ANSWER = 16 * 1024

_TLS_CODES = frozenset({35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91, 98})
_NOT_HTTP_CODES = frozenset({1, 8, 16, 61, 92, 100})
_URL_CODES = frozenset({3})
_SOCKET_OPTIONS = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)


Result = Response | DeliveryError
"""How an exchange ends: with an answer, whatever its status, or with the reason for none."""


@dataclass(frozen=True)
class Settings:
    """What holds for all exchanges: who may be called, through which proxy, trusted by whom."""

    guard: Guard
    proxy: str = ""
    ca_bundle: str = field(default_factory=certifi.where)


class Exchange:
    """One request and its answer, on one of libcurl's handles."""

    def __init__(
        self, handle: pycurl.Curl, request: PreparedRequest, timeout: float, settings: Settings
    ) -> None:
        self._handle = handle
        self._request = request
        self._timeout = timeout
        self._guard = settings.guard
        self._refused: DeliveryError | None = None
        self._answer = io.BytesIO()
        self._headers: list[bytes] = []
        self._configure(settings)

    def result(self, code: int, message: str) -> Response | DeliveryError:
        """Return the answer, or why there is none; `code` and `message` are libcurl's."""
        cut = code == pycurl.E_WRITE_ERROR and self._answer.tell() >= MAX_ANSWER
        if code and not cut:
            return self._error(code, message)
        return self._response()

    def _configure(self, settings: Settings) -> None:
        set_option, request = self._handle.setopt, self._request
        milliseconds = max(1, int(self._timeout * 1000))
        body = request.body or b""
        set_option(pycurl.URL, request.url or "")
        set_option(pycurl.CUSTOMREQUEST, request.method or "POST")
        set_option(pycurl.POSTFIELDS, body)
        set_option(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in self._sent_headers()])
        set_option(pycurl.TIMEOUT_MS, milliseconds)
        set_option(pycurl.CONNECTTIMEOUT_MS, milliseconds)
        set_option(pycurl.NOSIGNAL, 1)
        set_option(pycurl.FOLLOWLOCATION, 0)
        set_option(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        set_option(pycurl.PROXY, settings.proxy)
        set_option(pycurl.NOPROXY, "")
        set_option(pycurl.CAINFO, settings.ca_bundle)
        set_option(pycurl.WRITEFUNCTION, self._on_body)
        set_option(pycurl.HEADERFUNCTION, self._on_header)
        if not settings.proxy:
            # The addresses behind a forward proxy are the proxy's to refuse.
            set_option(pycurl.OPENSOCKETFUNCTION, self._on_socket)

    def _sent_headers(self) -> list[tuple[str, Any]]:
        # Without an empty Expect libcurl asks first, and waits a second, before a large body.
        return [*self._request.headers.items(), ("Expect", "")]

    def _on_socket(self, purpose: int, address: Any) -> Any:
        ip, port = address.addr[:2]
        try:
            host = self._guard.check_url(self._request.url or "").hostname or ""
            self._guard.check_address(ip, host, port)
        except (AddressRefused, InvalidURL) as error:
            self._refused = error
            return pycurl.SOCKET_BAD
        opened = socket.socket(address.family, address.socktype, address.protocol)
        for option in _SOCKET_OPTIONS:
            opened.setsockopt(*option)
        return opened

    def _on_header(self, line: bytes) -> None:
        if line.startswith(b"HTTP/"):
            self._headers.clear()
        self._headers.append(line)

    def _on_body(self, data: bytes) -> int | None:
        room = MAX_ANSWER - self._answer.tell()
        self._answer.write(data[:room])
        # Taking less than was offered ends the transfer: the rest is not worth its bytes.
        return None if len(data) < room else 0

    def _response(self) -> Response:
        response = Response()
        response.status_code = self._handle.getinfo(pycurl.RESPONSE_CODE)
        response.reason = _reason(response.status_code)
        response.headers = CaseInsensitiveDict(self._received_headers())
        response.url = self._request.url or ""
        response.request = self._request
        response.raw = io.BytesIO(self._answer.getvalue())
        response._content = self._answer.getvalue()
        return response

    def _received_headers(self) -> list[tuple[str, str]]:
        pairs = (line.decode("latin-1").partition(":") for line in self._headers[1:])
        return [(name.strip(), value.strip()) for name, colon, value in pairs if colon]

    def _error(self, code: int, message: str) -> DeliveryError:
        if self._refused:
            return self._refused
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return DeadlineExceeded(f"No complete answer within {self._timeout:g} s: {message}")
        if code in _TLS_CODES:
            return TLSFailed(message)
        if code in _NOT_HTTP_CODES:
            return InvalidAnswer(message)
        if code in _URL_CODES:
            return InvalidURL(message)
        return ConnectionFailed(message)


def exchange(request: PreparedRequest, timeout: float, settings: Settings) -> Result:
    """Make one exchange and wait for its end, at most `timeout` seconds."""
    handle = pycurl.Curl()
    try:
        under_way = Exchange(handle, request, timeout, settings)
        handle.perform()
        return under_way.result(0, "")
    except pycurl.error as error:
        return under_way.result(*error.args)
    finally:
        handle.close()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""

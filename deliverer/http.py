"""HTTP by libcurl, in the words of requests: a PreparedRequest in, a Response out.

One deadline covers resolving, connecting, TLS, sending and receiving. Redirects are not followed,
TLS is verified, the guard sees every URL and every address before a socket to it is opened, nothing
of the environment (proxies, .netrc) is used, no cookie is kept, and of an answer no more than
deliverer/answer.py takes.
"""

import logging
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import certifi
import pycurl
from requests import PreparedRequest, Response

from deliverer.answer import Answer
from deliverer.body import Body
from durian.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    DeliveryError,
    InvalidAnswer,
    TLSFailed,
)
from durian.guard import DEFAULT_PORTS, Guard, is_address

logger = logging.getLogger("durian.deliverer")

# pycurl has no names for these two codes of libcurl.
_HTTP2_STREAM, _TOO_LARGE = 92, 100

_KINDS: dict[int, type[DeliveryError]] = {
    pycurl.E_OPERATION_TIMEDOUT: DeadlineExceeded,
    pycurl.E_SSL_CONNECT_ERROR: TLSFailed,
    pycurl.E_PEER_FAILED_VERIFICATION: TLSFailed,
    pycurl.E_SSL_CACERT_BADFILE: TLSFailed,
    pycurl.E_SSL_CIPHER: TLSFailed,
    pycurl.E_UNSUPPORTED_PROTOCOL: InvalidAnswer,  # an answer without a status line
    pycurl.E_FTP_WEIRD_SERVER_REPLY: InvalidAnswer,  # HTTP's too, in spite of its name
    pycurl.E_BAD_CONTENT_ENCODING: InvalidAnswer,
    pycurl.E_HTTP2: InvalidAnswer,
    _HTTP2_STREAM: InvalidAnswer,
    _TOO_LARGE: InvalidAnswer,
}

LIFETIME_SECONDS = 60
"""For how long an idle connection is taken for new exchanges. A name is looked up anew after a
minute; who has moved is not to be called at the old place for as long as somebody answers there."""

Result = Response | DeliveryError
"""How an exchange ends: with an answer, whatever its status, or with the reason for none."""


@dataclass(frozen=True)
class Settings:
    """What holds for all exchanges: who may be called, through which proxy, trusted by whom.

    `proxy` is the URL of a forward proxy, empty for none; behind one the addresses are the proxy's
    to refuse. `ca_bundle` is the path of a file of certificates.
    """

    guard: Guard
    proxy: str = field(default="", repr=False)
    ca_bundle: str = field(default_factory=certifi.where)


class Exchange:
    """One request and its answer, on a handle of libcurl that is new or has been reset.

    It ends `timeout` seconds after it began, of which so many are `spent`. `addresses` are those of
    the URL's host; libcurl looks it up itself if there are none given. It is `alone` if no other
    exchange is to share its connection, as those of HTTP/2 do. Raises AddressRefused or
    InvalidURL for a URL that is not called, ConnectionFailed for a request that cannot be written
    as HTTP.
    """

    def __init__(
        self,
        handle: pycurl.Curl,
        request: PreparedRequest,
        timeout: float,
        settings: Settings,
        addresses: Sequence[str] = (),
        spent: float = 0.0,
        alone: bool = False,
    ) -> None:
        self._handle = handle
        self._request = request
        self._timeout = timeout
        self._guard = settings.guard
        self._proxy = settings.proxy
        self._failure: DeliveryError | None = None
        self._connecting = False
        self._answer = Answer()
        called = checked(settings.guard, request.url or "")
        self.place = (called.host, called.port)
        try:
            self._configure(called.url, settings, timeout - spent)
            if addresses:
                # The plus lets libcurl forget them after a minute.
                entry = f"+{called.host}:{called.port}:{','.join(addresses)}"
                handle.setopt(pycurl.RESOLVE, [entry])
            if alone:
                handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
            self._configure_request()
        except (pycurl.error, UnicodeError) as error:
            raise ConnectionFailed(f"The request cannot be made: {error}") from error

    def result(self, code: int = 0, message: str = "") -> Result:
        """Return the answer, or why there is none; `code` and `message` are libcurl's."""
        cut = code == pycurl.E_WRITE_ERROR and self._answer.full
        if code and not cut:
            return self._error(code, message)
        return self._answer.response(self._request, self._handle.getinfo(pycurl.RESPONSE_CODE))

    def _configure(self, url: str, settings: Settings, seconds: float) -> None:
        set_option = self._handle.setopt
        set_option(pycurl.URL, url)
        set_option(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        set_option(pycurl.TIMEOUT_MS, max(1, int(seconds * 1000)))
        set_option(pycurl.MAXLIFETIME_CONN, LIFETIME_SECONDS)
        # Signals would interrupt other threads.
        set_option(pycurl.NOSIGNAL, 1)
        # Empty, not unset: libcurl would look into the environment.
        set_option(pycurl.PROXY, settings.proxy)
        set_option(pycurl.NOPROXY, "")
        set_option(pycurl.CAINFO, settings.ca_bundle)
        set_option(pycurl.HEADERFUNCTION, self._answer.take_line)
        set_option(pycurl.WRITEFUNCTION, self._answer.take_body)
        if not settings.proxy:
            set_option(pycurl.OPENSOCKETFUNCTION, self._on_socket)

    def _configure_request(self) -> None:
        set_option, method, body = self._handle.setopt, self._request.method, self._request.body
        if body is None:
            set_option(pycurl.HTTPGET, 1)
        else:
            source = Body(body.encode() if isinstance(body, str) else body)
            set_option(pycurl.POST, 1)
            set_option(pycurl.POSTFIELDSIZE_LARGE, source.size)
            set_option(pycurl.READFUNCTION, source.read)
            set_option(pycurl.SEEKFUNCTION, source.rewind)
        set_option(pycurl.CUSTOMREQUEST, method or "POST")
        if method == "HEAD":
            set_option(pycurl.NOBODY, 1)
        set_option(pycurl.HTTPHEADER, self._header_lines())

    def _header_lines(self) -> list[str]:
        # An empty value is written with a semicolon: a colon would remove the header.
        lines = [
            f"{name}: {_text(value)}" if value else f"{name};"
            for name, value in self._request.headers.items()
        ]
        together = "".join(lines)
        if "\r" in together or "\n" in together:
            raise ConnectionFailed("The request cannot be made: a header holds a line break.")
        # libcurl would add these: Expect waits a second before a large body is sent, and only the
        # sender knows the type.
        return [*lines, "Expect:", "Content-Type:"]

    def _on_socket(self, purpose: int, address: Any) -> socket.socket | int:
        try:
            ip, port = address.addr[:2]
            self._guard.check_address(ip, self.place[0], port)
            opened = _Socket(address.family, address.socktype, address.protocol)
            self._connecting = True
            return opened
        except DeliveryError as error:
            self._failure = error
        except OSError as error:  # too many open files
            self._failure = ConnectionFailed(f"No socket could be opened: {error}")
        except Exception as error:
            # libcurl cannot pass it on, and would go on without saying so.
            logger.exception("No socket could be opened.")
            self._failure = ConnectionFailed(f"No socket could be opened: {error}")
        return int(pycurl.SOCKET_BAD)

    def _error(self, code: int, message: str) -> DeliveryError:
        # Of several addresses, one may have been refused and another one be down for now.
        if self._failure and not self._connecting:
            return self._failure
        if self._proxy:
            # It may hold a password, and libcurl repeats what it cannot read.
            message = message.replace(self._proxy, "the proxy")
        if code == pycurl.E_SEND_FAIL_REWIND:
            message = "The connection ended without an answer, and so did another one."
        kind = _KINDS.get(code, ConnectionFailed)
        if kind is DeadlineExceeded:
            message = f"No complete answer within {self._timeout:g} s: {self._stage()}{message}"
        if begun := self._answer.begun:
            message = f"{message} (after {begun!r})"
        return kind(message)

    def _stage(self) -> str:
        # libcurl counts agreeing on TLS as connecting, and does not say how far it came.
        connected = self._handle.getinfo(pycurl.CONNECT_TIME)
        agreed = self._handle.getinfo(pycurl.APPCONNECT_TIME)
        https = (self._request.url or "").startswith("https:")
        return "TLS was not agreed on, " if https and connected and not agreed else ""


class _Socket(socket.socket):
    """A socket that libcurl duplicates, and that closes itself when libcurl lets go of it."""

    def __del__(self) -> None:
        self.close()


def exchange(request: PreparedRequest, timeout: float, settings: Settings) -> Result:
    """Make one exchange and wait for its end, at most `timeout` seconds."""
    handle = pycurl.Curl()
    try:
        return perform(handle, request, timeout, settings)
    finally:
        close_later(handle)


def close_later(handle: pycurl.Curl) -> None:
    """Close `handle` without waiting.

    libcurl would wait for a resolver that still asks a name server which does not answer.
    """
    threading.Thread(target=handle.close, daemon=True).start()


def perform(
    handle: pycurl.Curl, request: PreparedRequest, timeout: float, settings: Settings
) -> Result:
    """Make one exchange on `handle`, whose connections are reused, and reset it."""
    try:
        under_way = Exchange(handle, request, timeout, settings)
        try:
            handle.perform()
        except pycurl.error as error:
            return under_way.result(*error.args)
        return under_way.result()
    except DeliveryError as error:
        return error
    finally:
        handle.reset()


def name_of(request: PreparedRequest, settings: Settings) -> str:
    """Return the name that is looked up for `request`, empty if its URL holds an address.

    It is empty behind a proxy, too, which looks names up itself. Raises AddressRefused or
    InvalidURL.
    """
    called = checked(settings.guard, request.url or "")
    return "" if settings.proxy else called.name


class Called(NamedTuple):
    """What is called for a URL; `name` is what is looked up, empty for an address."""

    url: str
    host: str
    port: int
    name: str


@lru_cache(maxsize=10_000)
def checked(guard: Guard, url: str) -> Called:
    """Return what to call for `url`. Raises AddressRefused or InvalidURL."""
    parts = guard.check_url(url)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    return Called(parts.geturl(), host, port, "" if is_address(host) else host)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")

"""An adapter, so that a `requests.Session` calls as durian does: guarded, by libcurl, in time."""

from collections.abc import Mapping

import pycurl
import requests
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.utils import get_encoding_from_headers

from deliverer.http import Settings, close_later, perform
from durian.errors import DeadlineExceeded, DeliveryError, InvalidURL, TLSFailed

DEFAULT_TIMEOUT = 30.0
"""Seconds that an exchange may take when the caller gives no timeout."""

_KINDS: dict[type[DeliveryError], type[requests.RequestException]] = {
    InvalidURL: requests.exceptions.InvalidURL,
    DeadlineExceeded: requests.Timeout,
    TLSFailed: requests.exceptions.SSLError,
}


class CurlAdapter(BaseAdapter):
    """Sends a session's requests by libcurl: `session.mount("https://", CurlAdapter(settings))`.

    Its settings say which addresses are called, by which proxy and trusting whom; `proxies`,
    `verify` and `cert` of a call change nothing of it. A timeout is that of the whole exchange; of
    a pair, the sum is. A body has to be text or bytes, and of an answer as much is kept as durian
    keeps. A session follows redirects by itself: each is guarded, and `allow_redirects=False`
    keeps it from doing so.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._free: list[pycurl.Curl] = []

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Return the answer to `request`. Raises the exceptions of requests."""
        if not isinstance(request.body, str | bytes | None):
            raise requests.RequestException("A body has to be text or bytes.", request=request)
        result = self._exchange(_uncompressed(request), _total(timeout))
        if isinstance(result, DeliveryError):
            kind = _KINDS.get(type(result), requests.ConnectionError)
            raise kind(str(result), request=request) from result
        result.request = request
        result.encoding = get_encoding_from_headers(result.headers)
        return result

    def close(self) -> None:
        """Close the connections that are kept open."""
        while self._free:
            close_later(self._free.pop())

    def _exchange(self, request: PreparedRequest, timeout: float) -> Response | DeliveryError:
        # A handle is for one thread at a time, and keeps its connections for the next one.
        try:
            handle = self._free.pop()
        except IndexError:
            handle = pycurl.Curl()
        try:
            return perform(handle, request, timeout, self._settings)
        finally:
            self._free.append(handle)


def _uncompressed(request: PreparedRequest) -> PreparedRequest:
    # A session asks for compression, which could make much of the little that is kept.
    request = request.copy()
    request.headers["Accept-Encoding"] = "identity"
    return request


def _total(timeout: float | tuple[float | None, ...] | None) -> float:
    parts = timeout if isinstance(timeout, tuple) else (timeout,)
    return sum(part for part in parts if part is not None) or DEFAULT_TIMEOUT

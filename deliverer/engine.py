"""Thousands of exchanges at once, in one thread: libcurl's multi interface on an epoll."""

import logging
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable

import pycurl
from requests import PreparedRequest

from deliverer.http import Exchange, Result, Settings
from durian.errors import ConnectionFailed
from durian.wire.wakeup import Wakeup

logger = logging.getLogger("durian.deliverer")

MAX_IDLE_SECONDS = 1.0

OnResult = Callable[[Result, float], None]
"""Called in the engine's thread with the answer or the error, and the seconds that it took."""


class Engine:
    """Makes the exchanges that are submitted; each ends by its own deadline at the latest."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._selector = selectors.DefaultSelector()
        self._wakeup = Wakeup()
        self._selector.register(self._wakeup.fileno(), selectors.EVENT_READ)
        self._submitted: deque[tuple[PreparedRequest, float, OnResult]] = deque()
        self._under_way: dict[pycurl.Curl, _Transfer] = {}
        self._free: list[pycurl.Curl] = []
        self._timer: float | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="durian-engine", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End what is under way with ConnectionFailed, and return when the thread has ended."""
        self._stopping = True
        self._wakeup.set()
        self._thread.join()

    def submit(self, request: PreparedRequest, timeout: float, on_result: OnResult) -> None:
        """Make the exchange of `request` within `timeout` seconds. From any thread; no waiting."""
        self._submitted.append((request, timeout, on_result))
        self._wakeup.set()

    def _run(self) -> None:
        while not self._stopping:
            for key, events in self._selector.select(self._patience()):
                if key.fd == self._wakeup.fileno():
                    self._wakeup.clear()
                else:
                    self._multi.socket_action(key.fd, _curl_events(events))
            if self._timer is not None and self._timer <= time.monotonic():
                self._timer = None
                self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._collect()
            while self._submitted:
                self._begin(*self._submitted.popleft())
        for handle in list(self._under_way):
            self._end(handle, pycurl.E_ABORTED_BY_CALLBACK, "The deliverer was stopped.")
        self._multi.close()

    def _patience(self) -> float:
        if self._submitted:
            return 0.0
        if self._timer is None:
            return MAX_IDLE_SECONDS
        return min(max(self._timer - time.monotonic(), 0.0), MAX_IDLE_SECONDS)

    def _begin(self, request: PreparedRequest, timeout: float, on_result: OnResult) -> None:
        handle = self._free.pop() if self._free else pycurl.Curl()
        try:
            exchange = Exchange(handle, request, timeout, self._settings)
        except (pycurl.error, UnicodeError, ValueError, TypeError) as error:
            self._call(on_result, ConnectionFailed(f"The request cannot be made: {error}"), 0.0)
            return
        self._under_way[handle] = _Transfer(exchange, on_result, time.monotonic())
        self._multi.add_handle(handle)

    def _collect(self) -> None:
        left = 1
        while left:
            left, succeeded, failed = self._multi.info_read()
            for handle in succeeded:
                self._end(handle, 0, "")
            for handle, code, message in failed:
                self._end(handle, code, message)

    def _end(self, handle: pycurl.Curl, code: int, message: str) -> None:
        transfer = self._under_way.pop(handle)
        self._multi.remove_handle(handle)
        result = transfer.exchange.result(code, message)
        handle.reset()
        self._free.append(handle)
        self._call(transfer.on_result, result, time.monotonic() - transfer.began)

    def _call(self, on_result: OnResult, result: Result, seconds: float) -> None:
        try:
            on_result(result, seconds)
        except Exception:
            # Its message stays unacked and comes again; the other exchanges must not end for it.
            logger.exception("The result of an exchange could not be handled.")

    def _on_socket(self, event: int, fd: int, multi: object, data: object) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)
        if event != pycurl.POLL_REMOVE:
            self._selector.register(fd, _selector_events(event))

    def _on_timer(self, milliseconds: int) -> None:
        self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000


class _Transfer:
    __slots__ = ("began", "exchange", "on_result")

    def __init__(self, exchange: Exchange, on_result: OnResult, began: float) -> None:
        self.exchange = exchange
        self.on_result = on_result
        self.began = began


def _curl_events(events: int) -> int:
    flags = 0
    if events & selectors.EVENT_READ:
        flags |= pycurl.CSELECT_IN
    if events & selectors.EVENT_WRITE:
        flags |= pycurl.CSELECT_OUT
    return flags


def _selector_events(event: int) -> int:
    events = 0
    if event in (pycurl.POLL_IN, pycurl.POLL_INOUT):
        events |= selectors.EVENT_READ
    if event in (pycurl.POLL_OUT, pycurl.POLL_INOUT):
        events |= selectors.EVENT_WRITE
    return events

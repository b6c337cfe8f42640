"""Thousands of exchanges at once, in one thread: libcurl's multi interface."""

import logging
import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import pycurl
from requests import PreparedRequest

from deliverer.http import Exchange, Result, Settings, checked, name_of
from deliverer.resolver import Answer, Resolver
from deliverer.silence import Silence
from deliverer.sockets import Ready, sockets
from durian.errors import ConnectionFailed, DeadlineExceeded, DeliveryError, Unavailable
from durian.wire.wakeup import Wakeup

logger = logging.getLogger("durian.deliverer")

MAX_CONNECTIONS = 4096
"""Connections that are kept open for later exchanges, and no more than half as many as there may be
files; those longest unused are closed first."""

MAX_FILES = 65_536
"""Files that the process may have open, if the system lets it; connections are files."""


class Took(NamedTuple):
    """How many seconds an exchange took."""

    total: float = 0.0
    receiver: float = 0.0
    """Those of them that the receiver took, at least: from when the request could be sent until an
    answer was there at the earliest, however late this process had the time for one or the other.
    """


OnResult = Callable[[Result, Took], None]
"""Called in the engine's thread with the answer or the error, and how long it took."""

_READ = {pycurl.POLL_IN, pycurl.POLL_INOUT}
_WRITE = {pycurl.POLL_OUT, pycurl.POLL_INOUT}


class _Job(NamedTuple):
    request: PreparedRequest
    timeout: float
    on_result: OnResult


class _UnderWay(NamedTuple):
    exchange: Exchange
    on_result: OnResult
    began: float


class Engine:
    """Makes the exchanges that are submitted; each ends by its own deadline at the latest.

    `on_failure` is called, from its thread, should it end by itself.
    """

    def __init__(self, settings: Settings, on_failure: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._on_failure = on_failure
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._wakeup = Wakeup()
        self._resolver = Resolver()
        self._sockets = sockets()
        for source in (self._wakeup, self._resolver):
            self._sockets.add(source)
        self._submitted: deque[_Job] = deque()
        self._under_way: dict[pycurl.Curl, _UnderWay] = {}
        self._free: list[pycurl.Curl] = []
        self._silence = Silence()
        self._timer: float | None = None
        self._woke = self._ready_since = time.monotonic()
        """When it looked last what is ready, and since when some of that may have been so."""
        self._stopping = False
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="durian-engine", daemon=True)

    def start(self) -> None:
        """Begin; the process may open many files from then on."""
        files = _raise_file_limit()
        self._multi.setopt(pycurl.M_MAXCONNECTS, min(MAX_CONNECTIONS, files // 2))
        self._thread.start()

    def stop(self) -> None:
        """End what is under way with ConnectionFailed, and return when the thread has ended."""
        self._stopping = True
        self._wakeup.set()
        self._thread.join()

    def submit(self, request: PreparedRequest, timeout: float, on_result: OnResult) -> None:
        """Make the exchange of `request` within `timeout` seconds. From any thread; no waiting.

        Raises Unavailable when the engine has stopped.
        """
        with self._closing:
            if self._closed:
                raise Unavailable("No POST can be made: the engine of this process has stopped.")
            self._submitted.append(_Job(request, timeout, on_result))
        if threading.current_thread() is not self._thread:  # it looks before it sleeps
            self._wakeup.set()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except Exception:
            logger.critical("The engine failed; no POST can be made any more.", exc_info=True)
            self._on_failure()
        finally:
            self._close()

    def _turn(self) -> None:
        for fd, readable, writable in self._look():
            if fd == self._wakeup.fileno():
                self._wakeup.clear()
            elif fd != self._resolver.fileno():
                reading = pycurl.CSELECT_IN if readable else 0
                writing = pycurl.CSELECT_OUT if writable else 0
                self._multi.socket_action(fd, reading | writing)
        if self._timer is not None and self._timer <= time.monotonic():
            self._timer = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()
        self._resolver.turn()
        while self._submitted:
            self._begin(self._submitted.popleft())

    def _look(self) -> Iterator[Ready]:
        worked = time.monotonic() - self._woke
        ready = self._sockets.wait(self._patience())
        self._woke = time.monotonic()
        self._ready_since = self._woke - worked
        return ready

    def _patience(self) -> float | None:
        patience = self._resolver.patience()
        if self._timer is None:
            return patience
        timer = max(self._timer - time.monotonic(), 0.0)
        return timer if patience is None else min(timer, patience)

    def _begin(self, job: _Job) -> None:
        began = time.monotonic()
        try:
            name = name_of(job.request, self._settings)
        except DeliveryError as error:
            _call(job.on_result, error, Took())
            return
        if name:
            self._resolver.resolve(name, job.timeout, partial(self._on_addresses, job, began))
        else:
            self._make(job, began)

    def _on_addresses(self, job: _Job, began: float, answer: Answer) -> None:
        if isinstance(answer, DeliveryError):
            _call(job.on_result, answer, Took(time.monotonic() - began))
        else:
            self._make(job, began, answer)

    def _make(self, job: _Job, began: float, addresses: Sequence[str] = ()) -> None:
        handle = self._free.pop() if self._free else pycurl.Curl()
        spent = time.monotonic() - began if addresses else 0.0
        try:
            alone = bool(self._silence) and self._is_silent(job.request)
            exchange = Exchange(
                handle, job.request, job.timeout, self._settings, addresses, spent, alone
            )
        except DeliveryError as error:
            self._refuse(job, handle, error)
            return
        except Exception as error:
            logger.exception("A request could not be made.")
            self._refuse(job, handle, ConnectionFailed(f"The request cannot be made: {error}"))
            return
        self._under_way[handle] = _UnderWay(exchange, job.on_result, began)
        self._multi.add_handle(handle)

    def _is_silent(self, request: PreparedRequest) -> bool:
        called = checked(self._settings.guard, request.url or "")
        return self._silence.holds((called.host, called.port))

    def _refuse(self, job: _Job, handle: pycurl.Curl, error: DeliveryError) -> None:
        self._give_back(handle)
        _call(job.on_result, error, Took())

    def _collect(self) -> None:
        # By how much sooner, at most, what has ended might have been seen to.
        late = time.monotonic() - self._ready_since
        left = 1
        while left:
            left, succeeded, failed = self._multi.info_read()
            for handle in succeeded:
                self._end(handle, late)
            for handle, code, message in failed:
                self._end(handle, late, code, message)

    def _end(self, handle: pycurl.Curl, late: float, code: int = 0, message: str = "") -> None:
        exchange, on_result, began = self._under_way[handle]
        result = exchange.result(code, message)
        if isinstance(result, DeadlineExceeded):
            self._silence.note(exchange.place)
        del self._under_way[handle]
        connected = handle.getinfo(pycurl.PRETRANSFER_TIME)
        receiver = handle.getinfo(pycurl.TOTAL_TIME) - connected - late
        self._multi.remove_handle(handle)
        self._give_back(handle)
        _call(on_result, result, Took(time.monotonic() - began, max(receiver, 0.0)))

    def _give_back(self, handle: pycurl.Curl) -> None:
        # Nothing of one exchange may be left in the next one.
        handle.reset()
        self._free.append(handle)

    def _close(self) -> None:
        with self._closing:
            self._closed = True
        stopped = ConnectionFailed("The deliverer was stopped before the answer came.")
        for one in self._under_way.values():
            _call(one.on_result, stopped, Took(time.monotonic() - one.began))
        self._resolver.close(stopped)
        for job in self._submitted:
            _call(job.on_result, stopped, Took())
        # It would wait for resolvers that still ask name servers which do not answer.
        threading.Thread(target=self._release, name="durian-engine-release", daemon=True).start()

    def _release(self) -> None:
        for handle in self._under_way:
            self._multi.remove_handle(handle)
        for handle in [*self._under_way, *self._free]:
            handle.close()
        self._multi.close()
        self._sockets.close()

    def _on_socket(self, event: int, fd: int, multi: object, data: object) -> None:
        try:
            self._sockets.watch(fd, event in _READ, event in _WRITE)
        except Exception:
            # libcurl would end every exchange; so, this one alone ends, at its deadline.
            logger.exception("A connection cannot be watched.")

    def _on_timer(self, milliseconds: int) -> None:
        self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000


def _raise_file_limit() -> int:
    """Let the process open many files, and return how many it may."""
    # A shell gives 1,024, and each connection is one.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MAX_FILES if soft == resource.RLIM_INFINITY else soft


def _call(on_result: OnResult, result: Result, took: Took) -> None:
    try:
        on_result(result, took)
    except Exception:
        # Its message stays unacked and comes again; the other exchanges must not end for it.
        logger.exception("The result of an exchange could not be handled.")

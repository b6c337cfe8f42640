"""Names to addresses, thousands of names at once and in no thread: c-ares, in the engine's loop.

libcurl asks the system's resolver, which blocks, in some twenty threads: as many names whose name
server is silent would hold up everybody's. c-ares reads the same files (/etc/resolv.conf,
/etc/hosts) and asks for all names over one socket. What it finds is for the guard to judge, when a
connection is about to be made.
"""

import heapq
import itertools
import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import pycares

from durian.errors import ConnectionFailed, DeadlineExceeded, DeliveryError

logger = logging.getLogger("durian.deliverer")

FIRST_WAIT_SECONDS = 0.5
TRIES = 5
"""A name server is asked this often; each time it gets twice as long to answer."""

LEAST_KEPT_SECONDS, MOST_KEPT_SECONDS = 1.0, 60.0
"""An answer is kept as long as the name's owner says, within these bounds."""

REREAD_SECONDS = 60.0
"""How often /etc/resolv.conf is read again, and c-ares's own store of answers emptied."""

MAX_KEPT = 10_000
MAX_ASKED = 10_000
"""Names that are asked for at once: each takes two of DNS's 65,536 numbers of questions."""

MAX_ADDRESSES = 16
"""Addresses of a name that are tried; an answer could hold thousands."""

_CAUSES = {
    pycares.errno.ARES_ENOTFOUND: "The name {} does not exist.",
    pycares.errno.ARES_ENODATA: "The name {} has no address.",
    pycares.errno.ARES_EBADNAME: "{} cannot be a name in the DNS.",
    pycares.errno.ARES_ECONNREFUSED: "No name server could be reached to ask for {}.",
    pycares.errno.ARES_ESERVFAIL: "The name server failed when asked for {}.",
    pycares.errno.ARES_EREFUSED: "The name server refuses to be asked for {}.",
}

Answer = Sequence[str] | DeliveryError
"""The addresses of a name, those to be tried first in front, or why there are none."""

OnAnswer = Callable[[Answer], None]


class _Kept(NamedTuple):
    addresses: Sequence[str]
    until: float


class _Waiter:
    __slots__ = ("name", "on_answer", "timeout")

    def __init__(self, name: str, timeout: float, on_answer: OnAnswer) -> None:
        self.name = name
        self.timeout = timeout
        self.on_answer: OnAnswer | None = on_answer

    def answer(self, answer: Answer) -> None:
        on_answer, self.on_answer = self.on_answer, None
        if on_answer:
            on_answer(answer)


class Resolver:
    """Looks names up for one thread, which waits for its descriptor and calls `turn`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._channel = pycares.Channel(
            timeout=FIRST_WAIT_SECONDS, tries=TRIES, sock_state_cb=self._on_socket
        )
        self._kept: dict[str, _Kept] = {}
        self._asked: dict[str, list[_Waiter]] = {}
        self._deadlines: list[tuple[float, int, _Waiter]] = []
        self._numbers = itertools.count()
        self._arrived: deque[tuple[str, pycares.AddrInfoResult | None, int | None]] = deque()
        self._due = 0.0
        self._reread = time.monotonic() + REREAD_SECONDS
        self._closed = False

    def fileno(self) -> int:
        """Return the descriptor that is readable when `turn` has something to do."""
        return self._selector.fileno()

    def patience(self) -> float | None:
        """Return the seconds until `turn` has something to do all the same, None for never."""
        if not self._asked:
            return None
        if self._arrived:
            return 0.0
        due = min(self._due, self._deadlines[0][0]) if self._deadlines else self._due
        return max(due - time.monotonic(), 0.0)

    def resolve(self, name: str, timeout: float, on_answer: OnAnswer) -> None:
        """Call `on_answer` with the addresses of `name`, or the error, within `timeout` seconds.

        That is at once if the addresses are known, else during a `turn`.
        """
        now = time.monotonic()
        kept = self._kept.get(name)
        if kept and kept.until > now:
            on_answer(kept.addresses)
            return
        if name not in self._asked and len(self._asked) >= MAX_ASKED:
            on_answer(ConnectionFailed(f"Too many names are looked up at once to ask for {name}."))
            return
        waiter = _Waiter(name, timeout, on_answer)
        heapq.heappush(self._deadlines, (now + timeout, next(self._numbers), waiter))
        if name in self._asked:
            self._asked[name].append(waiter)
        else:
            self._asked[name] = [waiter]
            self._ask(name, now)

    def turn(self) -> None:
        """Read what has come, ask again what was not answered, end what is past its deadline."""
        if not self._asked and not self._selector.get_map():
            return
        for key, events in self._selector.select(0):
            self._process(
                key.fd if events & selectors.EVENT_READ else pycares.ARES_SOCKET_BAD,
                key.fd if events & selectors.EVENT_WRITE else pycares.ARES_SOCKET_BAD,
            )
        now = time.monotonic()
        if self._asked and self._due <= now:
            self._process(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)
        while self._arrived:
            self._answer(*self._arrived.popleft(), now)
        self._end_late(now)

    def close(self, error: DeliveryError) -> None:
        """Answer all who wait with `error`; nothing can be looked up any more."""
        self._closed = True
        self._channel.close()
        self._selector.close()
        asked, self._asked = self._asked, {}
        for waiter in itertools.chain.from_iterable(asked.values()):
            waiter.answer(error)

    def _ask(self, name: str, now: float) -> None:
        try:
            if self._reread <= now:
                self._reread = now + REREAD_SECONDS
                self._channel.reinit()
            self._channel.getaddrinfo(
                name, None, type=socket.SOCK_STREAM, callback=partial(self._on_answer, name)
            )
        except pycares.AresError as error:
            # This look-up alone fails, and not the engine.
            logger.error("c-ares cannot look %s up: %s", name, error)
            self._on_answer(name, None, error.args[0])
        self._due = time.monotonic() + self._wait()

    def _process(self, read: int, write: int) -> None:
        self._channel.process_fd(read, write)
        self._due = time.monotonic() + self._wait()

    def _wait(self) -> float:
        return float(self._channel.timeout())  # type: ignore[no-untyped-call]

    def _on_answer(
        self, name: str, result: pycares.AddrInfoResult | None, status: int | None
    ) -> None:
        # c-ares is at work: what follows from the answer may ask it for other names.
        self._arrived.append((name, result, status))

    def _answer(
        self, name: str, result: pycares.AddrInfoResult | None, status: int | None, now: float
    ) -> None:
        waiters = [waiter for waiter in self._asked.pop(name) if waiter.on_answer]
        if status == pycares.errno.ARES_ETIMEOUT:
            # Whoever joined late was not asked for anew; each waits until its own deadline.
            if waiters:
                self._asked[name] = waiters
                self._ask(name, now)
            return
        answer = self._keep(name, result, now) if result else _error(name, status or 0)
        for waiter in waiters:
            waiter.answer(answer)

    def _keep(self, name: str, result: pycares.AddrInfoResult, now: float) -> Answer:
        nodes = result.nodes[:MAX_ADDRESSES]
        if not nodes:
            return _error(name, pycares.errno.ARES_ENODATA)
        addresses = tuple(node.addr[0].decode() for node in nodes)
        owners = min([*(node.ttl for node in nodes), *(alias.ttl for alias in result.cnames)])
        seconds = min(max(owners, LEAST_KEPT_SECONDS), MOST_KEPT_SECONDS)
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[name] = _Kept(addresses, now + seconds)
        return addresses

    def _end_late(self, now: float) -> None:
        if not self._asked:
            self._deadlines.clear()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, waiter = heapq.heappop(self._deadlines)
            waiter.answer(
                DeadlineExceeded(
                    f"No complete answer within {waiter.timeout:g} s: Resolving timed out, no name"
                    f" server had answered when asked for {waiter.name}."
                )
            )

    def _on_socket(self, fd: int, readable: bool, writable: bool) -> None:
        if self._closed:  # pycares closes its sockets in a thread of its own
            return
        if fd in self._selector.get_map():
            self._selector.unregister(fd)
        events = readable * selectors.EVENT_READ | writable * selectors.EVENT_WRITE
        if events:
            self._selector.register(fd, events)


def _error(name: str, status: int) -> ConnectionFailed:
    cause = _CAUSES.get(status)
    if cause is None:
        cause = f"The name {{}} cannot be looked up: {pycares.errno.errorcode.get(status, status)}."
    return ConnectionFailed(cause.format(name))

"""Waiting for many sockets, which are asked for and let go of with each exchange.

A connection that is let go of is most likely used again at once: Linux goes on watching it, for
that costs a third of what ending and beginning it costs.
"""

import os
import select
import selectors
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from durian.wire.wakeup import HasFileno

FORGOTTEN = 1000
"""Sockets of which Linux may tell though nobody waits for them, beside all that are waited for: by
itself it would tell of 1,023 at a time, and the others would look as if they came later."""


class Ready(NamedTuple):
    """A socket, and what can be done with it; after an error, what it is watched for at least, and
    whatever is tried tells."""

    fd: int
    readable: bool
    writable: bool


class SelectorSockets:
    """Sockets by whatever the system has to wait for them. For one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def add(self, source: HasFileno) -> None:
        """Wait for `source`, until the end, to be readable."""
        self._selector.register(source.fileno(), selectors.EVENT_READ)

    def watch(self, fd: int, readable: bool, writable: bool) -> None:
        """Wait for `fd` to be one or the other, from now on; or for nothing of it any more."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)
        if readable or writable:
            reading = selectors.EVENT_READ if readable else 0
            writing = selectors.EVENT_WRITE if writable else 0
            self._selector.register(fd, reading | writing)

    def wait(self, seconds: float | None) -> Iterator[Ready]:
        """Return what is ready, now or within `seconds`; None waits for as long as it takes."""
        return (
            Ready(key.fd, bool(events & selectors.EVENT_READ), bool(events & selectors.EVENT_WRITE))
            for key, events in self._selector.select(seconds)
        )

    def close(self) -> None:
        """Wait for nothing any more."""
        self._selector.close()


class EpollSockets:
    """Sockets by Linux's epoll(7). For one thread."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._interests: dict[int, int] = {}
        """What each is watched for; 0 for what has been let go of."""

    def add(self, source: HasFileno) -> None:
        """Wait for `source`, until the end, to be readable."""
        self.watch(source.fileno(), readable=True, writable=False)

    def watch(self, fd: int, readable: bool, writable: bool) -> None:
        """Wait for `fd` to be one or the other, from now on; or for nothing of it any more."""
        interest = select.EPOLLIN * readable | select.EPOLLOUT * writable
        known = fd in self._interests
        self._interests[fd] = interest
        if not interest:
            return
        if known:
            # Asked for even if it is the same: what was closed since, Linux has forgotten, and its
            # number is that of another socket now.
            with suppress(FileNotFoundError):
                self._epoll.modify(fd, interest)
                return
        # A program that is started here would have libcurl's sockets open, too, and Linux would
        # tell of the old one whose number is another's by then.
        os.set_inheritable(fd, False)
        self._epoll.register(fd, interest)

    def wait(self, seconds: float | None) -> Iterator[Ready]:
        """Return what is ready, now or within `seconds`; None waits for as long as it takes."""
        return self._watched(self._epoll.poll(seconds, len(self._interests) + FORGOTTEN))

    def close(self) -> None:
        """Wait for nothing any more."""
        self._epoll.close()

    def _watched(self, found: list[tuple[int, int]]) -> Iterator[Ready]:
        for fd, events in found:
            # Asked one by one: those before may have let go of it.
            if self._interests.get(fd):
                yield Ready(fd, bool(events & ~select.EPOLLOUT), bool(events & ~select.EPOLLIN))
            else:
                self._let_go(fd)

    def _let_go(self, fd: int) -> None:
        # Something comes that nobody waits for; the end of the connection, most likely.
        self._interests.pop(fd, None)
        try:
            self._epoll.unregister(fd)
        except OSError:
            # It is closed here; but a forked process may have it open, for which Linux would go on
            # to tell of it.
            self._begin_anew()

    def _begin_anew(self) -> None:
        try:
            fresh = select.epoll()
        except OSError:
            return  # No file is left for it. Linux tells of that socket again, and this is tried.
        self._epoll.close()
        self._epoll = fresh
        self._interests = {fd: interest for fd, interest in self._interests.items() if interest}
        for fd, interest in self._interests.items():
            self._epoll.register(fd, interest)


def sockets() -> SelectorSockets | EpollSockets:
    """Return what waits for sockets on this system."""
    return EpollSockets() if hasattr(select, "epoll") else SelectorSockets()

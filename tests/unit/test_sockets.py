"""Waiting for sockets, by epoll and without it."""

import os
import resource
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from deliverer.sockets import EpollSockets, Ready, SelectorSockets, sockets

BOUND = 5.0

Pair = tuple[socket.socket, socket.socket]
Sockets = SelectorSockets | EpollSockets


@pytest.fixture(params=[SelectorSockets, EpollSockets])
def waiting(request: pytest.FixtureRequest) -> Iterator[Sockets]:
    """Either kind."""
    made: Sockets = request.param()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A connection: our end, which is watched, and the peer's."""
    ours, peer = socket.socketpair()
    yield ours, peer
    ours.close()
    peer.close()


def test_what_has_come_can_be_read(waiting: Sockets, pair: Pair) -> None:
    ours, peer = pair
    waiting.watch(ours.fileno(), readable=True, writable=False)
    assert list(waiting.wait(0.0)) == []
    peer.send(b"x")
    assert list(waiting.wait(BOUND)) == [Ready(ours.fileno(), True, False)]


def test_what_takes_more_can_be_written(waiting: Sockets, pair: Pair) -> None:
    ours, peer = pair
    waiting.watch(ours.fileno(), readable=True, writable=True)
    assert list(waiting.wait(BOUND)) == [Ready(ours.fileno(), False, True)]
    peer.send(b"x")
    assert list(waiting.wait(BOUND)) == [Ready(ours.fileno(), True, True)]


def test_the_end_of_a_connection_can_be_read(waiting: Sockets, pair: Pair) -> None:
    ours, peer = pair
    waiting.watch(ours.fileno(), readable=True, writable=False)
    peer.close()
    (ready,) = waiting.wait(BOUND)
    assert (ready.fd, ready.readable) == (ours.fileno(), True)


def test_a_source_is_waited_for_until_the_end(waiting: Sockets, pair: Pair) -> None:
    ours, peer = pair
    waiting.add(ours)
    peer.send(b"x")
    for _ in range(2):
        assert list(waiting.wait(BOUND)) == [Ready(ours.fileno(), True, False)]


def test_what_was_let_go_of_is_not_told(waiting: Sockets, pair: Pair) -> None:
    ours, peer = pair
    waiting.watch(ours.fileno(), readable=True, writable=True)
    waiting.watch(ours.fileno(), readable=False, writable=False)
    peer.send(b"x")
    assert list(waiting.wait(0.0)) == []


def test_what_ends_while_nobody_uses_it_wakes_nobody_twice(waiting: Sockets, pair: Pair) -> None:
    ours, peer = pair
    waiting.watch(ours.fileno(), readable=True, writable=False)
    waiting.watch(ours.fileno(), readable=False, writable=False)
    peer.close()
    assert list(waiting.wait(0.05)) == []
    began = time.monotonic()
    assert list(waiting.wait(0.05)) == []
    assert time.monotonic() - began >= 0.05


def test_what_was_let_go_of_is_watched_again(waiting: Sockets, pair: Pair) -> None:
    ours, peer = pair
    for seen in (False, True):  # let go of before anything came, and after
        waiting.watch(ours.fileno(), readable=True, writable=False)
        waiting.watch(ours.fileno(), readable=False, writable=False)
        if seen:
            peer.send(b"x")
            assert list(waiting.wait(0.0)) == []
    waiting.watch(ours.fileno(), readable=True, writable=False)
    assert list(waiting.wait(BOUND)) == [Ready(ours.fileno(), True, False)]


def test_the_number_of_a_closed_connection_may_be_another_ones(waiting: Sockets) -> None:
    before, its_peer = socket.socketpair()
    number = before.fileno()
    waiting.watch(number, readable=True, writable=False)
    waiting.watch(number, readable=False, writable=False)
    before.close()
    its_peer.close()
    ours, peer = socket.socketpair()
    with ours, peer:
        os.dup2(ours.fileno(), number)
        try:
            waiting.watch(number, readable=True, writable=False)
            peer.send(b"x")
            assert list(waiting.wait(BOUND)) == [Ready(number, True, False)]
        finally:
            waiting.watch(number, readable=False, writable=False)
            if number != ours.fileno():
                os.close(number)


def test_an_error_is_told_to_whoever_waits_to_write(waiting: Sockets) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = server.getsockname()
    with socket.socket() as refused:
        refused.setblocking(False)
        refused.connect_ex(nobody)
        waiting.watch(refused.fileno(), readable=False, writable=True)
        (ready,) = waiting.wait(BOUND)
        assert (ready.fd, ready.writable) == (refused.fileno(), True)
        waiting.watch(refused.fileno(), readable=False, writable=False)


def test_what_another_process_has_open_still_wakes_nobody_twice(waiting: Sockets) -> None:
    ours, peer = socket.socketpair()
    other, its_peer = socket.socketpair()
    with peer, other, its_peer, ours.dup():  # a forked process has a copy, too
        waiting.watch(ours.fileno(), readable=True, writable=False)
        waiting.watch(ours.fileno(), readable=False, writable=False)
        waiting.watch(other.fileno(), readable=True, writable=False)
        ours.close()
        peer.close()
        assert list(waiting.wait(0.05)) == []
        began = time.monotonic()
        assert list(waiting.wait(0.05)) == []
        assert time.monotonic() - began >= 0.05
        its_peer.send(b"x")
        assert list(waiting.wait(BOUND)) == [Ready(other.fileno(), True, False)]


def test_without_a_file_to_spare_what_another_process_has_open_harms_nobody() -> None:
    waiting = EpollSockets()
    ours, peer = socket.socketpair()
    other, its_peer = socket.socketpair()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with peer, other, its_peer, ours.dup():
        waiting.watch(other.fileno(), readable=True, writable=False)
        waiting.watch(ours.fileno(), readable=True, writable=False)
        waiting.watch(ours.fileno(), readable=False, writable=False)
        ours.close()
        peer.close()
        its_peer.send(b"x")
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
        try:
            assert list(waiting.wait(BOUND)) == [Ready(other.fileno(), True, False)]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert list(waiting.wait(BOUND)) == [Ready(other.fileno(), True, False)]
    waiting.close()


def test_programs_that_are_started_have_no_connection_of_ours(pair: Pair) -> None:
    ours, _ = pair
    os.set_inheritable(ours.fileno(), True)  # as libcurl's are
    waiting = EpollSockets()
    waiting.watch(ours.fileno(), readable=True, writable=False)
    assert not os.get_inheritable(ours.fileno())
    waiting.close()


def test_linux_has_epoll() -> None:
    made = sockets()
    assert isinstance(made, EpollSockets) == (sys.platform == "linux")
    made.close()

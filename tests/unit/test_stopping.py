"""How processes are told to end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from durian.stopping import SIGNALS, Stopping, code_of, ending_by_sigterm, set_by_signals

IMPATIENT = """
import os, signal
from durian.stopping import set_by_signals

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})

last = Last()
stopping = set_by_signals()
os.kill(os.getpid(), signal.{name})
assert stopping.wait(10.0)
print("ended")
"""


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_waiting_at_once(number: signal.Signals) -> None:
    stopping = set_by_signals()
    assert not stopping.is_set()
    began = time.monotonic()
    threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
    assert stopping.wait()
    assert time.monotonic() - began < 10.0
    assert stopping.is_set()


def test_without_a_signal_the_waiting_ends_in_time() -> None:
    stopping = Stopping()
    assert not stopping.wait(0.01)
    stopping.ask()
    assert stopping.wait(0.01)
    assert stopping.wait()


@pytest.mark.usefixtures("handlers")
def test_sigterm_ends_a_command_however_often_it_takes() -> None:
    class Deaf:
        def __del__(self) -> None:
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)

    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append("as before"))
    with pytest.raises(KeyboardInterrupt) as interrupt, ending_by_sigterm():  # noqa: PT012
        Deaf()
        os.kill(os.getpid(), signal.SIGTERM)
    assert code_of(interrupt.value) == 143
    assert code_of(KeyboardInterrupt()) == 130
    os.kill(os.getpid(), signal.SIGTERM)
    assert ended == ["as before"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_amid_the_interpreters_end_changes_nothing(name: str) -> None:
    command = [sys.executable, "-c", IMPATIENT.format(name=name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")

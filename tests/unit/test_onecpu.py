"""The threads of a process on one CPU, in a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PROGRAM = """
import ctypes, json, os, resource, sys, threading, time
from durian.onecpu import OneCPU

busy = threading.Event()

def work():
    # A name that is not text: a parenthesis, and half of a letter.
    ctypes.CDLL(None).prctl(15, b") \\xc3")  # PR_SET_NAME
    while True:
        busy.wait()
        sum(range(10_000))
        time.sleep(0)

for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
cpu = OneCPU()
for line in sys.stdin:
    command, *cpus = line.split()
    if command == "busy":
        busy.set()
    elif command == "idle":
        busy.clear()
    elif command == "let_go":
        cpu.let_go()
    elif command == "no_files":
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    elif command == "give":
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), set(map(int, cpus)))
    else:
        if command == "look":
            time.sleep(0.3)
            cpu.look()
        here, threads = threading.get_native_id(), [one.native_id for one in threading.enumerate()]
        print(json.dumps([sorted(os.sched_getaffinity(one)) for one in threads if one != here]))
        sys.stdout.flush()
"""
HOG = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
BOUND = 30.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux lets a process choose")


class Program:
    """The program above: threads that work, or do not, and are looked after."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def tell(self, command: str) -> None:
        """Let it do something."""
        assert self._process.stdin
        print(command, file=self._process.stdin, flush=True)

    def look(self) -> list[int]:
        """Let it look after its threads; return the CPUs that all of them may use then."""
        return self._ask("look")

    def cpus(self) -> list[int]:
        """Return the CPUs that all of its threads may use now."""
        return self._ask("cpus")

    def _ask(self, command: str) -> list[int]:
        self.tell(command)
        assert self._process.stdout
        threads: list[list[int]] = json.loads(self._process.stdout.readline())
        assert len(threads) == 3
        assert all(cpus == threads[0] for cpus in threads), threads
        return threads[0]


@pytest.fixture
def program() -> Iterator[Program]:
    """It, running."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield Program(process)
        process.kill()


@contextmanager
def hog(cpu: int) -> Iterator[None]:
    """Keep `cpu` busy."""
    with subprocess.Popen([sys.executable, "-c", HOG, str(cpu)]) as process:
        try:
            yield
        finally:
            process.kill()


@pytest.fixture
def cpus() -> list[int]:
    """The CPUs of this machine that we may use."""
    found = sorted(os.sched_getaffinity(0))
    if len(found) < 2:
        pytest.skip("one CPU is all that there is")
    return found


def test_threads_are_together_while_they_work(program: Program, cpus: list[int]) -> None:
    assert program.look() == cpus
    program.tell("busy")
    (cpu,) = program.look()
    assert cpu in cpus
    program.tell("idle")
    program.look()
    assert program.look() == cpus


def test_they_leave_a_cpu_that_others_keep_busy(program: Program, cpus: list[int]) -> None:
    program.tell("busy")
    (cpu,) = program.look()
    deadline = time.monotonic() + BOUND
    with hog(cpu):
        while program.look() == [cpu]:
            assert time.monotonic() < deadline, "they stay beside a program that never sleeps"


def test_a_process_that_has_one_cpu_keeps_it(program: Program, cpus: list[int]) -> None:
    program.tell(f"give {cpus[1]}")
    program.tell("busy")
    for _ in range(3):
        assert program.look() == [cpus[1]]


def test_what_an_administrator_changes_counts(program: Program, cpus: list[int]) -> None:
    program.tell("busy")
    (cpu,) = program.look()
    (other, *_) = set(cpus) - {cpu}
    program.tell(f"give {other}")
    for _ in range(3):
        assert program.look() == [other]
    program.tell("idle")
    program.look()
    assert program.look() == [other]


def test_what_an_administrator_chooses_may_be_where_they_are(
    program: Program, cpus: list[int]
) -> None:
    program.tell("busy")
    (cpu,) = program.look()
    program.tell(f"give {cpu}")
    for _ in range(3):
        assert program.look() == [cpu]


def test_in_the_end_they_are_let_go(program: Program, cpus: list[int]) -> None:
    program.tell("busy")
    assert len(program.look()) == 1
    program.tell("let_go")
    assert program.cpus() == cpus


def test_it_goes_on_without_files_that_it_could_open(program: Program, cpus: list[int]) -> None:
    program.tell("no_files")
    program.tell("busy")
    assert program.look() == cpus

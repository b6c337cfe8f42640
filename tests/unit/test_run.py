"""What a process of durian's does before its roles begin, and beside them."""

import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connections

from durian import roles
from durian.cli import run as role
from durian.cli.run import run, run_until_stopped
from durian.database import SILENT_SECONDS
from durian.management.commands import durian as command


class Passing:
    """A role that ends at once, and tells what it found."""

    name = "deliverer"
    seen: set[int]
    collections: int

    def run(self) -> None:
        Passing.seen = set(map(id, gc.get_objects()))
        before = gc.get_stats()[0]["collections"]
        under_way: list[list[int]] = [[] for _ in range(20_000)]
        Passing.collections = gc.get_stats()[0]["collections"] - before
        del under_way

    def stop(self, within: float) -> None:
        """Has ended."""


class Working:
    """A role that works until all its threads have one CPU, and asks for the end then."""

    name = "deliverer"

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self.while_working: set[int] = set()
        self.while_stopping: set[int] = set()

    def run(self) -> None:
        deadline = time.monotonic() + 10.0
        while len(os.sched_getaffinity(0)) > 1 and time.monotonic() < deadline:
            sum(range(10_000))
        self.while_working = os.sched_getaffinity(0)
        os.kill(os.getpid(), signal.SIGTERM)
        self._stopped.wait(10.0)
        self.while_stopping = os.sched_getaffinity(0)

    def stop(self, within: float) -> None:
        self._stopped.set()


def postgresqls_options() -> dict[str, object]:
    """The OPTIONS of the PostgreSQL among the databases, whichever it is."""
    (alias,) = [alias for alias in connections if connections[alias].vendor == "postgresql"]
    options: dict[str, object] = connections.settings[alias]["OPTIONS"]
    return options


@pytest.fixture
def undone() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    logger = logging.getLogger("durian")
    level, thresholds = logger.level, gc.get_threshold()
    options = postgresqls_options()
    before = dict(options)
    yield
    options.clear()
    options.update(before)
    gc.set_threshold(*thresholds)
    logger.setLevel(level)
    gc.unfreeze()
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("undone")
@pytest.mark.parametrize(
    "arguments",
    [["deliverer"], ["status"], ["prune"], ["rekey"], ["replay", "--all", "--since", "1h"]],
    ids=lambda arguments: arguments[0],
)
def test_a_database_whose_machine_is_gone_is_given_up(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    options: dict[str, object] = {}

    def look(_: object) -> int:
        options.update(postgresqls_options())
        return 0

    monkeypatch.setattr(command.SUBCOMMANDS.get(arguments[0], role), "run", look)
    command.Command().run_from_argv(["manage.py", "durian", *arguments])
    assert options["tcp_user_timeout"] == SILENT_SECONDS * 1000


@pytest.mark.usefixtures("undone")
def test_no_collection_looks_at_what_was_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(roles.ROLES, "deliverer", Passing)
    monkeypatch.setattr(roles, "is_embedded", lambda: False)
    imported = vars(roles)
    assert id(imported) in map(id, gc.get_objects())
    assert run({"subcommand": "deliverer"}) == 1
    assert id(imported) not in Passing.seen


@pytest.mark.usefixtures("undone")
def test_no_collection_looks_at_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(roles.ROLES, "deliverer", Passing)
    monkeypatch.setattr(roles, "is_embedded", lambda: False)
    run({"subcommand": "deliverer"})
    assert Passing.collections <= 1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux lets a process choose")
@pytest.mark.usefixtures("undone")
def test_a_role_that_works_is_on_one_cpu_and_is_let_go_to_end() -> None:
    given = os.sched_getaffinity(0)
    role = Working()
    assert run_until_stopped([role]) == 0
    assert len(role.while_working) == 1
    assert role.while_stopping == given == os.sched_getaffinity(0)

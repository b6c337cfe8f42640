"""What a process of durian's does before its roles begin."""

import gc
import logging
import signal
from collections.abc import Iterator

import pytest

from durian import roles
from durian.cli.run import run


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


@pytest.fixture
def undone() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    logger = logging.getLogger("durian")
    level, thresholds = logger.level, gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    logger.setLevel(level)
    gc.unfreeze()
    for number, handler in handlers.items():
        signal.signal(number, handler)


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

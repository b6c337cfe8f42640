"""The verdict of `make chaos`, and where its rolling upgrade comes from."""

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import previous
from tests.chaos.row import FILES, MEMORY_MB, Row

GOOD = Row("a-fault", events=3, expected=5, received=5, duplicates=1, at_most=2, dead=1)


def test_a_fault_that_lost_and_broke_nothing_is_good() -> None:
    assert GOOD.good
    assert "BAD" not in GOOD.line()


@pytest.mark.parametrize(
    ("column", "changed"),
    [
        ("expected", {"expected": 0}),
        ("duplicates", {"duplicates": 3}),
        ("duplicates", {"unexplained": 1}),
        ("lost", {"lost": 1}),
        ("ghosts", {"ghosts": 1}),
        ("queued", {"queued": 1}),
        ("queued", {"queued": -1}),
        ("refused", {"refused": 1}),
        ("broken", {"broken": 1}),
        ("memory", {"memory": MEMORY_MB + 0.1}),
        ("files", {"files": FILES + 1}),
        ("wrong", {"wrong": ["what the fault found"]}),
    ],
)
def test_one_thing_alone_makes_a_fault_bad(column: str, changed: dict[str, Any]) -> None:
    row = dataclasses.replace(GOOD, **changed)
    assert row.faults == [column]
    assert row.line().endswith(f"BAD: {column}")


def test_a_site_that_was_hit_itself_may_refuse() -> None:
    assert dataclasses.replace(GOOD, refused=7, may_refuse=True).good


def test_without_history_the_upgrade_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previous, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(AssertionError, match="needs a full clone"):
        previous.previous_revision()


def test_the_previous_version_is_the_newest_tag_before_this_one_or_the_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previous, "ROOT", tmp_path)

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=joe", "-c", "user.email=joe@example.com"]
        command = ["git", *identity, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit() -> str:
        git("commit", "--quiet", "--allow-empty", "--message=a change")
        return git("rev-parse", "--short", "HEAD")

    git("init", "--quiet")
    parent, _ = commit(), commit()
    assert previous.previous_revision() == parent
    git("tag", "v1")
    # The present commit is v1 itself: it is not its own predecessor.
    assert previous.previous_revision() == parent
    commit()
    git("tag", "v2")
    assert previous.previous_revision() == "v1"

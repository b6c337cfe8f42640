"""The short form of `make chaos`, and the proof that it finds losses where there are some."""

import json
import subprocess
import sys
from typing import Any

from tests.acceptance.shop import ROOT
from tests.chaos.faults import SHORT


def chaos(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.chaos", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)


def rows(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_nothing_is_lost_when_a_deliverer_the_broker_or_the_database_is_killed() -> None:
    done = chaos("--short", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["fault"] for row in rows(done)] == list(SHORT)
    assert all(row["expected"] and not row["lost"] for row in rows(done))


def test_a_pump_that_acks_before_it_publishes_is_found_out() -> None:
    done = chaos("kill-deliverer", "--sabotage", "--seed", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    (row,) = rows(done)
    assert row["lost"]
    assert "lost: order" in done.stdout

"""The tables of docs/security.md and the tests agree: each test that is named there is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    "test_delivery",
    "test_engine",
    "test_guard_at_connect",
    "test_hostile_deliveries",
    "test_hostile_receivers",
    "test_names",
)
COMPLETE = {
    "test_hostile_deliveries": {"test_receiver", "test_retry_after"},
    "test_guard_at_connect": {
        "test_called",
        "test_refused_at_connect",
        "test_refused_at_sight",
        "test_the_allow_list_opens",
        "test_the_allow_list_opens_nothing_else",
    },
}
"""The tests of which every case has to be in a table."""

# The cases of a test that is run by each way to make an exchange, or on each database, are one.
EACH = re.compile(r"(?<=\[)(engine|exchange|session|postgresql|sqlite)(?:-|(?=\]))")


@pytest.fixture(scope="module")
def collected() -> list[tuple[str, str]]:
    """The module and the name of each test that pytest finds."""
    files = [f"tests/integration/{module}.py" for module in MODULES]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if "::" in line]
    return [
        (Path(path).stem, EACH.sub("", name).removesuffix("[]"))
        for path, _, name in (line.partition("::") for line in lines)
    ]


def named() -> set[str]:
    text = (ROOT / "docs/security.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return {name for row in rows for name in re.findall(r"`(test_[^`]+)`", row)}


def test_every_test_that_is_named_is_there(collected: list[tuple[str, str]]) -> None:
    names = {name for _, name in collected}
    whole = {name.partition("[")[0] for name in names}
    assert [name for name in sorted(named()) if name not in names | whole] == []


def test_every_case_is_named(collected: list[tuple[str, str]]) -> None:
    cases = {
        name for module, name in collected if name.partition("[")[0] in COMPLETE.get(module, set())
    }
    assert len(cases) > 80
    assert sorted(cases - named()) == []


def test_every_row_names_a_test() -> None:
    text = (ROOT / "docs/security.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    for row in rows:
        assert "`test_" in row or row.endswith("| test |"), row

"""A run in CI must not pass by skipping tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_skipped_test_fails_a_run_in_ci(tmp_path: Path, ci: str, status: int) -> None:
    skipping = tmp_path / "test_skipping.py"
    skipping.write_text("import pytest\ndef test_nothing():\n    pytest.skip('no time')\n")
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += ["-p", "no:django", "-p", "tests.conftest", str(skipping)]
    environment = {**os.environ, "CI": ci}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, "1 skipped" in done.stdout) == (status, True), done.stdout

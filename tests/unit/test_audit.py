"""`make audit` tells three things apart: vulnerable, audited, and not asked."""

import json
import sys
from typing import Any

import pytest

from tests import audit

FINE = {"name": "fine", "version": "1", "vulns": []}
BAD = {
    "name": "bad",
    "version": "2",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"], "aliases": [], "description": ""}],
}
SKIPPED = {"name": "private", "skip_reason": "not found on PyPI"}
SELF = {"name": "durian", "skip_reason": "editable"}


@pytest.mark.parametrize(
    ("packages", "arguments", "code", "says"),
    [
        ([FINE, SELF], [], 0, "Audited: 1 packages, no known vulnerability."),
        ([FINE, BAD], [], 1, "VULNERABLE: bad 2: PYSEC-1, mended in ['3']"),
        ([BAD, SKIPPED], ["--lenient"], 1, "VULNERABLE: bad 2"),
        ([FINE, SKIPPED], [], 2, "NOT AUDITED: PyPI's advisories cannot be reached"),
        ([FINE, SKIPPED], ["--lenient"], 0, "NOT AUDITED: PyPI's advisories cannot be reached"),
        (None, [], 2, "NOT AUDITED: PyPI's advisories cannot be reached from here (no network)"),
        (None, ["--lenient"], 0, "NOT AUDITED"),
    ],
)
def test_what_was_not_asked_is_never_called_fine(
    packages: list[dict[str, Any]] | None,
    arguments: list[str],
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = json.dumps({"dependencies": packages})
    tool = f"print({output!r})" if packages else "import sys; sys.exit('no network')"
    monkeypatch.setattr(audit, "COMMAND", [sys.executable, "-c", tool])
    monkeypatch.setattr(sys, "argv", ["audit", *arguments])
    assert audit.main() == code
    assert says in capsys.readouterr().out

"""The documents name what exists: settings with their defaults, checks, files and headings."""

import dataclasses
import re
from pathlib import Path

import pytest

from durian import checks
from durian.conf import Config

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in LINK.findall(path.read_text()):
        linked = (path.parent / target).resolve() if target else path
        assert linked.exists(), f"{path.name} links {target}"
        if anchor:
            assert anchor in _anchors(linked.read_text()), f"{path.name} links {target}#{anchor}"


@pytest.mark.parametrize("field", dataclasses.fields(Config), ids=lambda field: field.name)
def test_every_setting_is_documented_with_its_default(field: "dataclasses.Field[object]") -> None:
    text = (ROOT / "docs/settings.md").read_text()
    rows = [row for row in text.splitlines() if row.startswith(f"| `{field.name.upper()}` |")]
    assert len(rows) == 1
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    assert f"`{default!r}`".replace("'", '"') in rows[0]


def test_every_check_is_documented() -> None:
    raised = set(re.findall(r"durian\.[EW]\d{3}", Path(checks.__file__).read_text()))
    rows = re.findall(r"^\| `(durian\.[EW]\d{3})`", (ROOT / "docs/settings.md").read_text(), re.M)
    assert raised == set(rows)

"""The rooms keep apart: who may import whom, and where."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("durian", "publisher", "deliverer")
REASON = "# App loading: "
"""How the comment above an import inside a function begins; the only reason there may be."""


def test_the_import_contracts_are_kept() -> None:
    # A process of its own, since import-linter silences all loggers of the one it runs in.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_import_hides_in_a_function_without_its_reason() -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert sources
    hidden = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources
        for line in unexplained(path.read_text())
    ]
    assert hidden == []


def test_the_search_for_hidden_imports_finds_them() -> None:
    source = (
        "import os\n"
        "def plain():\n"
        "    import sys\n"
        "def explained():\n"
        "    # App loading: the models are not there\n"
        "    # before it.\n"
        "    from durian import models\n"
        "    from durian import checks\n"
        "class Class:\n"
        "    async def method(self):\n"
        "        # because\n"
        "        from durian import models\n"
    )
    assert list(unexplained(source)) == [3, 12]


def unexplained(source: str) -> Iterator[int]:
    """Yield the lines of the imports inside functions that have no reason above them."""
    lines = [line.strip() for line in source.splitlines()]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Import | ast.ImportFrom) and not explained(
                    lines[: inner.lineno - 1]
                ):
                    yield inner.lineno


def explained(above: list[str]) -> bool:
    """Say whether the comment that ends `above`, but for other imports, gives the reason."""
    for line in reversed(above):
        if line.startswith(REASON):
            return True
        if not line.startswith(("#", "from ", "import ")):
            return False
    return False

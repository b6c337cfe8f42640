"""The version before this one, from git's history: what a rolling upgrade comes from."""

import subprocess
import zipfile
from pathlib import Path

from tests.acceptance.shop import ROOT

PACKAGES = ("durian", "publisher", "deliverer")


def previous_revision() -> str:
    """Return the newest tag before the present commit, or its parent if there is none.

    Raises AssertionError when there is no history to look into.
    """
    tag = _git("describe", "--tags", "--abbrev=0", "HEAD^")
    if tag.returncode == 0:
        return tag.stdout.strip()
    parent = _git("rev-parse", "--verify", "--quiet", "--short", "HEAD^")
    assert parent.returncode == 0, (
        "There is no previous version here: the rolling upgrade needs a full clone of the "
        f"repository, with its history. {tag.stderr.strip()}"
    )
    return parent.stdout.strip()


def unpack(revision: str, folder: Path) -> Path:
    """Put durian's packages as of `revision` into a folder in `folder`, and return that."""
    archive, code = folder / f"{revision}.zip", folder / revision
    done = _git("archive", "--format=zip", f"--output={archive}", revision, *PACKAGES)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(code)
    return code


def _git(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)

"""Where the demo keeps its database: in a folder that goes away with it, unless told otherwise."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

VARIABLE = "DURIAN_DEMO_DATABASE"


def use_temporary_database() -> None:
    """Let the demo's settings find a database that is deleted at exit, if none was chosen."""
    if VARIABLE in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="durian-demo-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[VARIABLE] = str(Path(folder) / "demo.sqlite3")

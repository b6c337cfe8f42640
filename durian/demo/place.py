"""Where the demo keeps its database: in a folder that goes away with it, unless told otherwise."""

import atexit
import os
import shutil
import signal
import tempfile
from functools import partial
from pathlib import Path

from durian.stopping import TERMINATED

VARIABLE = "DURIAN_DEMO_DATABASE"
TRIES = 100


def use_temporary_database() -> None:
    """Let the demo's settings find a database that is deleted at exit, if none was chosen."""
    if VARIABLE in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="durian-demo-")
    signal.signal(signal.SIGTERM, partial(_end, folder))
    atexit.register(_remove, folder)
    os.environ[VARIABLE] = str(Path(folder) / "demo.sqlite3")


def _remove(folder: str) -> None:
    # Threads may be at work on the database until the process is gone, and put files there anew.
    for _ in range(TRIES):
        if os.path.exists(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _end(folder: str, *_: object) -> None:
    # While the site is loaded. An exception may be lost then: Python ignores one that a signal has
    # raised just where a module's lock was forgotten.
    _remove(folder)
    os._exit(TERMINATED)

"""Files that the subcommands write."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO


@contextmanager
def replacing(path: str) -> Iterator[IO[str]]:
    """Give a text file that takes the place of `path` once the block has ended well.

    Until then, and if the block fails, `path` stays as it was. What is no regular file, such as a
    pipe, is written to as it is. Raises OSError.
    """
    if not _is_replaceable(path):
        with open(path, "w", encoding="utf-8") as out:
            yield out
        return
    target = os.path.realpath(path)
    beside = os.path.join(os.path.dirname(target), f".durian-{uuid.uuid4().hex}")
    with open(beside, "x", encoding="utf-8") as out:
        try:
            if os.path.exists(target):
                _dress_like(target, beside)
            yield out
            out.close()
            os.replace(beside, target)
        except BaseException:
            os.unlink(beside)
            raise


def _is_replaceable(path: str) -> bool:
    # /dev/stdout and its like lead to whatever the shell has opened, which may be a file.
    if os.path.abspath(path).startswith(("/dev/", "/proc/")):
        return False
    return os.path.isfile(path) or not os.path.exists(path)


def _dress_like(model: str, path: str) -> None:
    """Let `path` belong to whom `model` belongs to, as far as it may, and be as open to others."""
    was = os.stat(model)
    with suppress(PermissionError):
        os.chown(path, was.st_uid, was.st_gid)
    shutil.copymode(model, path)

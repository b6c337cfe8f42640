"""What the subcommands print: tables for people, JSON for scripts, progress on a terminal."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from io import TextIOWrapper
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from durian.errors import DurianError

PIPE_WIDTH = 10_000
"""Columns of a table in a pipe, whose reader wants whole lines: rich would cut them at 80."""

Report = Callable[[int, int | None], None]


def prepare() -> None:
    """Let whatever is printed be printed: standard output may be closed, or be of few letters."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(_nowhere(), "w"))
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def forget_unwritten() -> None:
    """Drop what standard output did not take: Python would try again at its end, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(_nowhere(), sys.stdout.fileno())


def _nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)


@contextmanager
def writing() -> Iterator[None]:
    """Turn what is wrong with standard output, a full disk say, into a DurianError.

    But for BrokenPipeError: a reader who has had enough is no fault.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DurianError(f"Cannot write to standard output: {error.strerror}.") from error


class _Console(Console):
    """Prints texts as they are, with nothing in them taken for markup."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else PIPE_WIDTH
        super().__init__(highlight=False, markup=False, emoji=False, soft_wrap=True, width=width)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print `objects`. Raises as `writing` does."""
        with writing():
            super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError, where rich would end the process with a code of its own."""
        raise


def console() -> Console:
    """Return where results go: in colours on a terminal, plain and uncut in a pipe."""
    return _Console()


def complain(text: str) -> None:
    """Say on standard error what could not be done: what reads the results is not to stumble."""
    sys.stderr.write(f"{plain(text)}\n")


def print_json(value: Any) -> None:
    """Print `value` as one line of JSON."""
    print_text(json.dumps(value, cls=DjangoJSONEncoder) + "\n")


def print_text(text: str) -> None:
    """Print `text` as it is, for scripts. Raises as `writing` does."""
    with writing():
        sys.stdout.write(text)


def plain(value: Any) -> str:
    """Return `value` as text that gives the terminal no orders: it may be of a hostile receiver."""
    return "".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in str(value))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; in a pipe its lines are not cut."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        # The first one names the row, for the next command: it is not to be cut.
        table.add_column(column, no_wrap=number == 0)
    for row in rows:
        table.add_row(*(Text(plain(cell).replace("\n", " ")) for cell in row))
    console().print(table)


def when(seconds: float) -> str:
    """Return a time (seconds since the epoch) as text, in UTC; "-" for none."""
    if not seconds:
        return "-"
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")


@contextmanager
def progress(what: str) -> Iterator[Report]:
    """Give a function that shows how many of how many are done, on a terminal."""
    err = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

"""Saves orders in a process of a Django site, durian's or the peer's.

    python -m tests.benchmarks.raising COUNT [--seconds S] [--log FILE --window N --of PROCESSES]

A site's request is played by a transaction with one `save()` in it. With a window no more than so
many events are under way: it waits for lines in the receiver's log, as one of so many processes
that do. It imports nothing of durian, since the peer's environment has none.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import django
from django.apps import apps
from django.db import transaction

WARM_UP = 20
LOOK_EVERY = 20


def order(number: int) -> Any:
    """Return an order that is not saved."""
    return apps.get_model("site", "Order")(number=number, customer="Joe", country="DE", total=10)


def save(number: int) -> None:
    """Save an order, with all that its signal does, in a transaction."""
    with transaction.atomic():
        order(number).save()


def run(options: argparse.Namespace) -> None:
    """Save the orders."""
    lines = Lines(options.log) if options.log else None
    began, done = time.monotonic(), 0
    while done < options.count and time.monotonic() - began < options.seconds:
        if lines and done % LOOK_EVERY == 0:
            lines.wait_for(done * options.of - options.window, began + options.seconds)
        save(done)
        done += 1


class Lines:
    """Counts the lines that a file gets."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("rb")
        self._file.seek(0, 2)
        self._count = 0

    def wait_for(self, count: int, deadline: float) -> None:
        """Return once the file has got so many lines, or at the deadline."""
        while self._count < count and time.monotonic() < deadline:
            self._count += self._file.read().count(b"\n")
            if self._count < count:
                time.sleep(0.01)


def main() -> None:
    """Save what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--window", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    options = parser.parse_args()
    django.setup()
    for number in range(WARM_UP):
        save(number)
    run(options)


if __name__ == "__main__":
    main()

"""`durian receiver`: something to send webhooks to, as good or as bad as one likes."""

from argparse import ArgumentParser
from typing import Any

from durian import simulator

HELP = "receive webhooks and show them; with --mode, be a receiver from hell"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `durian receiver`."""
    simulator.add_arguments(parser)


def run(options: dict[str, Any]) -> int:
    """Return 0 at Ctrl-C."""
    return simulator.run(options)

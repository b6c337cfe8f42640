"""`durian status`: is everything as it should be?"""

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.text import Text

from durian.cli.health import Health, collect
from durian.cli.output import console, plain, print_json, print_table, print_text
from durian.cli.prometheus import exposition

HELP = "show queues, depths, consumers and the outbox; exit code 1 when something is wrong"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `durian status`."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, for scripts")
    form.add_argument("--prometheus", action="store_true", help="print gauges for Prometheus")


def run(options: dict[str, Any]) -> int:
    """Return 0 when all is well, else 1."""
    health = collect()
    if options["json"]:
        print_json(asdict(health))
    elif options["prometheus"]:
        print_text(exposition(health))
    else:
        _print(health)
    return bool(health.problems)


def _print(health: Health) -> None:
    out = console()
    print_table(
        ["queue", "messages", "consumers"],
        (
            (state.name, state.messages if state.exists else "MISSING", state.consumers)
            for state in health.queues
        ),
    )
    for using, outbox in health.outbox.items():
        out.print(
            f"outbox {using}: {outbox['waiting']} waiting, the oldest for "
            f"{outbox['oldest_seconds']} s; {outbox['set_aside']} set aside"
        )
    out.print("listeners: " + _counts(health.listeners))
    out.print("attempts in the last minute: " + _counts(health.attempts))
    for problem in health.problems:
        out.print(Text.assemble(("problem:", "red"), f" {plain(problem)}"))
    if not health.problems:
        out.print("All is well.")


def _counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in numbers.items())

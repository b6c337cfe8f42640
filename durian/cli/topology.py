"""`durian topology`: declare the exchanges and queues, or show what is on the broker."""

from argparse import ArgumentParser
from typing import Any

from durian import conf, roles
from durian.cli.brokers import refuse_embedded
from durian.cli.output import console, print_json, print_table

HELP = "declare durian's exchanges and queues on the broker, or show them"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `durian topology`."""
    parser.add_argument("--show", action="store_true", help="change nothing, show what is there")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def run(options: dict[str, Any]) -> int:
    """Return 0 when everything is there, else 1. Raises as `refuse_embedded` does."""
    refuse_embedded()
    broker = roles.broker()
    if not options["show"]:
        broker.declare(public=conf.config().public_exchange)
    states = broker.states()
    missing = broker.missing_exchanges(conf.config().public_exchange)
    missing += [state.name for state in states if not state.exists]
    if options["json"]:
        print_json({"queues": {state.name: state.exists for state in states}, "missing": missing})
        return bool(missing)
    print_table(
        ["queue", "there", "messages", "consumers"],
        ((s.name, "yes" if s.exists else "NO", s.messages, s.consumers) for s in states),
    )
    if missing:
        names = ", ".join(missing)
        console().print(f"Missing: {names}. Run `durian topology` to declare what is missing.")
    return bool(missing)

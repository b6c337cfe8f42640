"""`durian demo`: a small site with everything in it, to look at."""

from argparse import ArgumentParser
from typing import Any

import django
from django.apps import apps

from durian.cli.arguments import port
from durian.errors import ConfigurationError

HELP = "run a small site with all roles and receivers that fail now and then, to look at"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `durian demo`."""
    parser.add_argument("--once", action="store_true", help="raise 200 events, then sum up and end")
    parser.add_argument(
        "--port", type=port, help="the port of the pages (default: 8000, or a free one)"
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="only make the tables, the login, the listeners and the queues, for the Procfile",
    )
    parser.epilog = (
        "Without RabbitMQ it runs on a broker in memory; DURIAN_BROKER_URL=amqp://… names a real "
        "one. With --once the exit code is 0 if nothing was lost."
    )


def run(options: dict[str, Any]) -> int:
    """Return 0, or 1 when `--once` lost something. Raises ConfigurationError."""
    if django.VERSION < (5, 1):
        raise ConfigurationError(
            "The demo is on SQLite, where Django has writers wait for each other from 5.1 on. "
            f"This is Django {django.__version__}: install a newer one to see the demo."
        )
    if not apps.is_installed("durian.demo"):
        raise ConfigurationError("The demo brings its own site: call `durian demo`.")
    # App loading: the demo's models can only be imported in the demo's site.
    from durian.demo import run as demo
    from durian.demo import shop

    wanted = options["port"]
    if options["prepare"]:
        demo.prepare()
        shop.subscribe(f"http://127.0.0.1:{wanted or 8000}")
        return 0
    return demo.once(wanted) if options["once"] else demo.forever(wanted)

"""`manage.py durian …`: the roles, and the tools of whoever runs them."""

import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError

from durian import __version__, simulator
from durian.cli import dead, demo, output, prune, rekey, replay, run, status, topology
from durian.database import give_up_on_silence
from durian.errors import DurianError
from durian.stopping import code_of, ending_by_sigterm

SUBCOMMANDS = {
    "topology": topology,
    "status": status,
    "dead": dead,
    "replay": replay,
    "prune": prune,
    "rekey": rekey,
    "demo": demo,
    "receiver": simulator,
}
UNREAD = 141
"""The exit code that shells give a program whose output nobody reads on: 128 + SIGPIPE."""


class Command(BaseCommand):
    """Webhooks: run the roles, look after the broker, the dead letters and the archive."""

    help = __doc__ or ""
    # Of the checks durian's own, which need neither database nor broker.
    requires_system_checks: tuple[str, ...] = ("durian",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Before Django takes hold of the streams.
        output.prepare()
        self._signals: Callable[[], AbstractContextManager[None]] = nullcontext
        super().__init__(*args, **kwargs)

    def get_version(self) -> str:
        """Return durian's version, for `--version`."""
        return __version__

    def run_from_argv(self, argv: list[str]) -> None:
        """Run as a process of its own: its connections are durian's, and so are its signals."""
        give_up_on_silence()
        self._signals = ending_by_sigterm
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the subcommands."""
        # As the script `durian` it would say its name twice.
        parser.prog = parser.prog.replace("durian durian", "durian")
        subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
        for name, text in run.HELP.items():
            run.add_arguments(subparsers.add_parser(name, help=text, description=text))
        for name, module in SUBCOMMANDS.items():
            module.add_arguments(
                subparsers.add_parser(name, help=module.HELP, description=module.HELP)
            )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the subcommand and exit with its code."""
        module = SUBCOMMANDS.get(options["subcommand"], run)
        # What runs until it is told to stop has its own.
        signals = nullcontext if module in (run, simulator) else self._signals
        try:
            with signals():
                code = module.run(options)
            with output.writing():
                sys.stdout.flush()
        except DurianError as error:
            logging.getLogger("durian").debug("durian failed.", exc_info=error)
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The database: {error}") from error
        except BrokenPipeError:
            code = UNREAD
        except KeyboardInterrupt as interrupt:
            self.stderr.write("Interrupted: what was done until now stays done.")
            code = code_of(interrupt)
        finally:
            output.forget_unwritten()
        if code:
            sys.exit(code)

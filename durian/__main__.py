"""The command `durian`: what `manage.py durian` does, for the site of `--settings`
or DJANGO_SETTINGS_MODULE.

`durian demo` brings a site of its own; `durian receiver` and help need none.
"""

import os
import sys
from argparse import ArgumentParser

from django.core.management import execute_from_command_line

from durian.demo.place import use_temporary_database
from durian.stopping import INTERRUPTED

SETTINGS = "DJANGO_SETTINGS_MODULE"
DEMO = "durian.demo.settings"


def main() -> None:
    """Run `durian`."""
    arguments = sys.argv[1:] or ["--help"]
    command, site = _read(arguments)
    if command == "demo":
        os.environ[SETTINGS] = DEMO
        if "--prepare" not in arguments:
            use_temporary_database()
    elif command == "receiver" or {"-h", "--help", "--version"} & set(arguments):
        # Django's command line needs some settings, whichever.
        os.environ.setdefault(SETTINGS, DEMO)
    if not site and SETTINGS not in os.environ:
        sys.exit(
            f"durian: which site? Call `python manage.py durian {command or '…'}` in its folder, "
            f"give --settings, or set {SETTINGS}."
        )
    try:
        execute_from_command_line([sys.argv[0], "durian", *arguments])
    except KeyboardInterrupt:
        # While the site was being loaded: nothing has begun.
        sys.exit(INTERRUPTED)


def _read(arguments: list[str]) -> tuple[str, str]:
    """Return the subcommand in `arguments` and the site's settings, "" for what is not there."""
    parser = ArgumentParser("durian", add_help=False, allow_abbrev=False)
    # Of Django's options those that have a value, which is no subcommand.
    for option in (["-v", "--verbosity"], ["--settings"], ["--pythonpath"]):
        parser.add_argument(*option, default="")
    parser.add_argument("commands", nargs="*")
    options, _ = parser.parse_known_args(arguments)
    return next(iter(options.commands), ""), options.settings


if __name__ == "__main__":
    main()

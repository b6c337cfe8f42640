"""The command `durian`: what `manage.py durian` does, for the site of DJANGO_SETTINGS_MODULE.

`durian demo` brings a site of its own; `durian receiver` and help need none.
"""

import os
import sys

from django.core.management import execute_from_command_line

from durian.demo.place import use_temporary_database
from durian.stopping import INTERRUPTED

SETTINGS = "DJANGO_SETTINGS_MODULE"
DEMO = "durian.demo.settings"


def main() -> None:
    """Run `durian`."""
    arguments = sys.argv[1:] or ["--help"]
    if arguments[0] == "demo":
        os.environ[SETTINGS] = DEMO
        if "--prepare" not in arguments:
            use_temporary_database()
    elif arguments[0] == "receiver" or {"-h", "--help"} & set(arguments):
        # Django's command line needs some settings, whichever.
        os.environ.setdefault(SETTINGS, DEMO)
    if SETTINGS not in os.environ:
        sys.exit(
            f"durian: which site? Call `python manage.py durian {arguments[0]}` in its folder, "
            f"or set {SETTINGS}."
        )
    try:
        execute_from_command_line([sys.argv[0], "durian", *arguments])
    except KeyboardInterrupt:
        # While the site was being loaded: nothing has begun.
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

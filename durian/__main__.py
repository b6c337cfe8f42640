"""The command `durian`: what `manage.py durian` does, for the site of DJANGO_SETTINGS_MODULE.

`durian demo` brings a site of its own, and `durian receiver` needs none.
"""

import os
import sys

from django.core.management import execute_from_command_line

from durian.demo.place import use_temporary_database


def main() -> None:
    """Run `durian`."""
    if sys.argv[1:2] == ["demo"]:
        os.environ["DJANGO_SETTINGS_MODULE"] = "durian.demo.settings"
        if "--prepare" not in sys.argv:
            use_temporary_database()
    elif sys.argv[1:2] == ["receiver"]:
        # It needs no site, but Django's command line needs settings.
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "durian.demo.settings")
    execute_from_command_line([sys.argv[0], "durian", *(sys.argv[1:] or ["--help"])])


if __name__ == "__main__":
    main()

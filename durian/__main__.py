"""The command `durian`: what `manage.py durian` does, for the site of DJANGO_SETTINGS_MODULE.

`durian demo` brings a site of its own.
"""

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    """Run `durian`."""
    if sys.argv[1:2] == ["demo"]:
        # App loading: the demo's settings want its database's place before Django reads them.
        from durian.demo.place import use_temporary_database

        os.environ["DJANGO_SETTINGS_MODULE"] = "durian.demo.settings"
        use_temporary_database()
    execute_from_command_line([sys.argv[0], "durian", *(sys.argv[1:] or ["--help"])])


if __name__ == "__main__":
    main()

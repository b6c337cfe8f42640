"""Raises events with `send_many` in a process of the site.

    python -m tests.benchmarks.many N SIZE

Prints the seconds that N calls took, a transaction each.
"""

import sys
import time

import django
from django.db import transaction

from tests.acceptance.shop import order


def main() -> None:
    """Raise what the command line asks for."""
    calls, size = map(int, sys.argv[1:])
    django.setup()
    # App loading: hooks are models' neighbours.
    from durian.registry import hooks

    payloads = [order(number) for number in range(size)]
    hook = hooks["order.placed"]
    hook.send_many(payloads)
    began = time.monotonic()
    for _ in range(calls):
        with transaction.atomic():
            hook.send_many(payloads)
    print(time.monotonic() - began)


if __name__ == "__main__":
    main()

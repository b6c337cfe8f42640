"""Inserts SIZE orders and raises their events with `send_many`, N times, in a process of the site.

    python -m tests.benchmarks.many N SIZE

Prints as JSON the µs of each order; a transaction has SIZE of them.
"""

import json
import sys
import time

import django
from django.apps import apps
from django.db import transaction

from tests.acceptance.shop import order as payload
from tests.benchmarks.raising import order


def main() -> None:
    """Raise what the command line asks for."""
    calls, size = map(int, sys.argv[1:])
    django.setup()
    raise_orders(size)
    began = time.monotonic()
    for _ in range(calls):
        raise_orders(size)
    print(json.dumps({"us": (time.monotonic() - began) / calls / size * 1e6}))


def raise_orders(size: int) -> None:
    """Insert so many orders, and raise an event for each."""
    # App loading: hooks are models' neighbours.
    from durian.registry import hooks

    with transaction.atomic():
        apps.get_model("site", "Order").objects.bulk_create(map(order, range(size)))
        hooks["order.placed"].send_many([payload(number) for number in range(size)])


if __name__ == "__main__":
    main()

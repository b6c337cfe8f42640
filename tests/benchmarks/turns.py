"""Saves orders in a process of a Django site, durian's or the peer's, whenever it is its turn.

    python -m tests.benchmarks.turns save|bare|twice|many

Each line of the standard input says how many orders to save; the answer to it is a line with the
mean of one, in microseconds. A site's request is played by a transaction with one `save()` in it.
`bare` inserts the same row without a signal, to be subtracted; `twice` inserts one more by a plain
statement, the least that an outbox in the site's database costs; `many` inserts 100 rows and raises
their events in one transaction. But for that it imports nothing of durian, since the peer's
environment has none.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import django
from django.apps import apps
from django.db import connection, transaction

from tests.benchmarks.raising import WARM_UP, order, save

SIZE = 100
SECOND = (
    b"INSERT INTO site_order (number, customer, country, total, card)"
    b" VALUES (0, 'Joe', 'DE', 10, '4111 1111')"
)


def bare(number: int) -> None:
    """Insert the same row; no signal is sent."""
    with transaction.atomic():
        apps.get_model("site", "Order").objects.bulk_create([order(number)])


def twice(number: int) -> None:
    """Insert it, and a row that is ready as text, with nothing of Django around that."""
    with transaction.atomic():
        apps.get_model("site", "Order").objects.bulk_create([order(number)])
        inserted = connection.connection.pgconn.exec_(SECOND)
        assert inserted.command_tuples == 1, inserted.error_message


def many(number: int) -> None:
    """Insert SIZE orders, and raise an event for each."""
    # App loading, and the peer's environment: hooks are models' neighbours.
    from durian.registry import hooks
    from tests.acceptance.shop import order as payload

    with transaction.atomic():
        apps.get_model("site", "Order").objects.bulk_create(map(order, range(SIZE)))
        hooks["order.placed"].send_many([payload(one) for one in range(SIZE)])


class Way(NamedTuple):
    """What a transaction does, and for how many orders."""

    call: Callable[[int], None]
    orders: int = 1


WAYS = {"save": Way(save), "bare": Way(bare), "twice": Way(twice), "many": Way(many, SIZE)}


def turn(way: Way, orders: int) -> float:
    """Save so many orders, and return the mean of one in microseconds."""
    began = time.monotonic()
    for number in range(orders // way.orders):
        way.call(number)
    return (time.monotonic() - began) / orders * 1e6


def main() -> None:
    """Save what the standard input asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("way", choices=WAYS)
    way = WAYS[parser.parse_args().way]
    django.setup()
    turn(way, WARM_UP * way.orders)
    for line in sys.stdin:
        print(turn(way, int(line)), flush=True)


if __name__ == "__main__":
    main()

"""What should have been received, what was, and what the difference means."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.acceptance.shop import Shop
from tests.servers.receiver import Received

Wants = Callable[[Mapping[str, Any]], bool]
Pair = tuple[int, int]
"""An order's number and a listener's id."""


@dataclass(frozen=True)
class Row:
    """The account of one fault, as a row of the table."""

    fault: str
    events: int
    expected: int
    received: int
    duplicates: int
    dead: int
    lost: int
    ghosts: int
    queued: int
    seconds: float

    @property
    def good(self) -> bool:
        """Whether nothing was lost, nothing came that had not happened, and nothing is left."""
        return not (self.lost or self.ghosts or self.queued)


class Account:
    """Compares the shop's own table of orders with what the receiver saw."""

    def __init__(self, shop: Shop, database: str) -> None:
        self._shop = shop
        self._database = database
        self._accepted: list[Pair] = []
        self.wanted_by: dict[int, Wants] = {}

    def expected(self) -> set[Pair]:
        """Return what must arrive: orders that were committed, whoever was told what of them."""
        return {
            (order["number"], listener)
            for order in self._orders()
            for listener, wants in self.wanted_by.items()
            if wants(order)
        }

    def accept(self, request: Received) -> None:
        """Note what the receiver took."""
        number = json.loads(request.body)["number"]
        self._accepted.append((number, int(request.headers["durian-listener"])))

    def received(self) -> "Counter[Pair]":
        """Return how often the receiver took each pair."""
        return Counter(self._accepted)

    def dead(self) -> set[Pair]:
        """Return what is in the dead-letter queue."""
        done = self._shop.run("dead", "export")
        assert done.returncode == 0, done.stderr
        letters = [json.loads(line) for line in done.stdout.splitlines()]
        messages = [(json.loads(letter["body"]), letter["listener"]) for letter in letters]
        return {(json.loads(body["body"])["number"], listener) for body, listener in messages}

    def row(self, fault: str, seconds: float, queued: int) -> Row:
        """Return the account."""
        expected, received, dead = self.expected(), self.received(), self.dead()
        return Row(
            fault=fault,
            events=len({number for number, _ in expected}),
            expected=len(expected),
            received=len(expected & set(received)),
            duplicates=sum(received.values()) - len(received),
            dead=len(dead),
            lost=len(expected - set(received) - dead),
            ghosts=len(set(received) - expected),
            queued=queued,
            seconds=round(seconds, 1),
        )

    def _orders(self) -> list[dict[str, Any]]:
        with psycopg.connect(self._database, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute("SELECT number, country, total FROM site_order").fetchall()

"""What should have been received, what was, and what the difference means."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psycopg

from tests.acceptance.shop import Shop
from tests.servers.receiver import Received

Wants = Callable[[Mapping[str, Any]], bool]
Pair = tuple[int, int]
"""An order's number and a listener's id."""

SETTLING_SECONDS = 1.0
"""How long after its POST a delivery may still be unlogged or unacked, on a busy machine."""


class Account:
    """Compares the shop's own table of orders with what the receiver saw."""

    def __init__(self, shop: Shop, database: str) -> None:
        self._shop = shop
        self._database = database
        self._accepted: list[tuple[float, Pair]] = []
        self.wanted_by: dict[int, Wants] = {}

    def expected(self) -> set[Pair]:
        """Return what must arrive: orders that were committed, whoever was told what of them."""
        return {
            (order["number"], listener)
            for order in self._select("SELECT number, country, total FROM site_order")
            for listener, wants in self.wanted_by.items()
            if wants(order)
        }

    def accept(self, request: Received) -> Pair:
        """Note what the receiver took, and return it."""
        pair = json.loads(request.body)["number"], int(request.headers["durian-listener"])
        self._accepted.append((time.monotonic(), pair))
        return pair

    def received(self) -> "Counter[Pair]":
        """Return how often the receiver took each pair."""
        return Counter(pair for _, pair in self._accepted)

    @property
    def last(self) -> float:
        """The moment at which the receiver took something for the last time, 0 for never."""
        return self._accepted[-1][0] if self._accepted else 0.0

    def in_flight(self, since: float) -> set[Pair]:
        """Return which pairs are under way: whatever strikes now may have them sent again.

        These are the ones that are committed and not received, and those that were received later
        than a moment before `since`: the broker may not know yet.
        """
        start = since - SETTLING_SECONDS
        lately = {pair for moment, pair in self._accepted if moment > start}
        # Of the same moment: what is received while the table is read was under way.
        received = set(self.received())
        return self.expected() - received | lately

    def dead(self) -> set[Pair]:
        """Return what is in the dead-letter queue."""
        done = self._shop.run("dead", "export")
        assert done.returncode == 0, done.stderr
        letters = [json.loads(line) for line in done.stdout.splitlines()]
        messages = [(json.loads(letter["body"]), letter["listener"]) for letter in letters]
        return {(json.loads(body["body"])["number"], listener) for body, listener in messages}

    def names(self, pairs: Iterable[Pair]) -> list[str]:
        """Return `pairs` in words."""
        rows = self._select("SELECT id, body FROM durian_event")
        events = {json.loads(row["body"])["number"]: row["id"] for row in rows}
        return [
            f"order {number} (event {events.get(number, 'missing')}) for listener {listener}"
            for number, listener in sorted(pairs)
        ]

    def _select(self, query: str) -> list[dict[str, Any]]:
        with psycopg.connect(self._database, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(query).fetchall()

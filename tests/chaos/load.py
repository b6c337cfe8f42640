"""The load: requests that place orders, some of which roll back, and how the site answers."""

import itertools
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from tests.acceptance.shop import Shop, order

COUNTRIES = ("DE", "FR", "NO")
CUSTOMERS = 2
"""How many ask at once, so that a site that is killed is hardly ever idle."""
PAUSE_SECONDS = 0.1
BATCH = 5
ANSWER_SECONDS = 5.0
"""A request that takes longer counts as one that failed: a site never waits for a webhook."""


class Load:
    """Places orders in batches, steadily, until told to stop."""

    def __init__(self, shop: Shop, chance: random.Random) -> None:
        self._failed: list[bool] = []
        self._shop = shop
        self._chance = chance
        self._numbers = itertools.count(step=BATCH)
        self._stop = threading.Event()

    @property
    def failed(self) -> int:
        """How many requests the site refused, failed, or let wait for too long."""
        return sum(self._failed)

    @property
    def answered(self) -> int:
        """How many requests the site answered in time."""
        return len(self._failed) - self.failed

    @contextmanager
    def running(self) -> Iterator[None]:
        """Raise events during the block."""
        threads = [threading.Thread(target=self._work) for _ in range(CUSTOMERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _work(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            self._ask("place")
            if self._chance.random() < 0.2:
                self._ask("place_and_roll_back")

    def _ask(self, action: str) -> None:
        began = time.monotonic()
        try:
            self._shop.do(action, orders=self._orders())
            failed = time.monotonic() - began > ANSWER_SECONDS
        except requests.RequestException:
            # The shop's table says afterwards which of them were committed.
            failed = True
        self._failed.append(failed)

    def _orders(self) -> list[dict[str, Any]]:
        first = next(self._numbers)
        country, total = self._chance.choice(COUNTRIES), self._chance.randrange(100)
        numbers = range(first, first + BATCH)
        return [order(number, country=country, total=total) for number in numbers]

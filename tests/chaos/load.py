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
        self.failures: list[str] = []
        """What met the requests that the site refused, failed, or let wait for too long."""
        self._asked: list[str] = []
        self._shop = shop
        self._chance = chance
        self._numbers = itertools.count(step=BATCH)
        self._stop = threading.Event()

    @property
    def answered(self) -> int:
        """How many requests the site answered in time."""
        return len(self._asked) - len(self.failures)

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
            seconds = time.monotonic() - began
            if seconds > ANSWER_SECONDS:
                self.failures.append(f"{action}: answered after {seconds:.1f} s")
        except requests.RequestException as error:
            # The shop's table says afterwards which of them were committed.
            seconds = time.monotonic() - began
            self.failures.append(f"{action}, {seconds:.1f} s: {type(error).__name__}: {error}")
        self._asked.append(action)

    def _orders(self) -> list[dict[str, Any]]:
        first = next(self._numbers)
        country, total = self._chance.choice(COUNTRIES), self._chance.randrange(100)
        numbers = range(first, first + BATCH)
        return [order(number, country=country, total=total) for number in numbers]

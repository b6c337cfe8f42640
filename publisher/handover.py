"""What this process's own transactions have committed, on its way to the relay beside them.

Events that are claimed from the start need neither be looked for nor be claimed by a statement of
their own: a site's request and its database are spared most of what a relay costs. Whatever comes
in between, their claim ends, and any relay finds them.
"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone

from durian.eventrow import EventRow

LEASE = timedelta(seconds=30)
"""How long an event is this process's own, from its INSERT on."""

MAX_WAITING = 1000
"""While so many wait, what is recorded is left to those who claim."""


class Handover:
    """Takes committed events from any thread, for the relay's to fetch."""

    def __init__(self) -> None:
        self.is_open = False
        """Whether the relay would publish at once what it is given."""
        self._given: deque[tuple[str, EventRow]] = deque()

    def claim_until(self, count: int) -> datetime | None:
        """Return until when `count` events about to be recorded are this process's own.

        None is for those that any relay may claim.
        """
        if not self.is_open or len(self._given) + count > MAX_WAITING:
            return None
        return timezone.now() + LEASE

    def give(self, using: str, rows: Sequence[EventRow]) -> bool:
        """Take those of `rows`, committed to `using`, that are this process's own.

        Return False if there is none: something may be in the outbox for whoever claims it.
        """
        own = [row for row in rows if row.claimed_until]
        self._given.extend((using, row) for row in own)
        return bool(own)

    @property
    def waiting(self) -> int:
        """How many events were given and not fetched."""
        return len(self._given)

    def fetch(self, limit: int) -> tuple[str, list[EventRow]]:
        """Return a database and up to `limit` of its events that were given, the oldest first."""
        using, rows = "", list[EventRow]()
        while self._given and len(rows) < limit and (not rows or self._given[0][0] == using):
            using, row = self._given.popleft()
            rows.append(row)
        return using, rows

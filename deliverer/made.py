"""Which attempts were made before, though their messages have come: the log is asked.

A deliverer that goes down has what it had not acked given out again, and what it had published for
the next attempt is published once more by whoever takes that.
"""

import threading
from collections.abc import Sequence

from django.db import router

from deliverer.log import Log
from durian.database import available
from durian.models import Attempt
from durian.wire.messages import AttemptKey

MAX_READ = 100_000
"""More than a deliverer takes at once. What a connection took with it is read and not asked for."""
BATCH = 1_000
"""How many deliveries one query asks about: each is a parameter, which databases bound."""


class Made:
    """Asks the log's table, and what waits to be written to it. `read` is for one thread, `has`
    for another, which never waits for the database.

    It is read where it is written: a replica may not know yet of the attempt before.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._read: dict[AttemptKey, bool] = {}
        self._lock = threading.Lock()

    def read(self, attempts: Sequence[AttemptKey]) -> None:
        """Ask about all of `attempts` by one query, for the next calls of `has`.

        Raises Unavailable when the database is away.
        """
        for start in range(0, len(attempts), BATCH):
            batch = attempts[start : start + BATCH]
            # First: what is written in between is in neither after the query.
            made = {attempt for attempt in batch if self._log.awaits(attempt)}
            made |= _written(batch)
            with self._lock:
                self._read |= {attempt: attempt in made for attempt in batch}
                while len(self._read) > MAX_READ:
                    del self._read[next(iter(self._read))]

    def has(self, attempt: AttemptKey) -> bool | None:
        """Say whether `attempt` is in the log or about to be, None if that has not been read.

        What was read is believed once. When broker and database are away at once, what comes again
        is in neither.
        """
        with self._lock:
            read = self._read.pop(attempt, None)
        return True if self._log.awaits(attempt) else read


def _written(attempts: Sequence[AttemptKey]) -> set[AttemptKey]:
    """Return the attempts in the log of the deliveries of `attempts`."""
    home = router.db_for_write(Attempt)
    deliveries = {delivery for delivery, _, _ in attempts}
    with available(home):
        rows = Attempt.objects.using(home).filter(delivery__in=deliveries)
        return {
            (str(delivery), run, number)
            for delivery, run, number in rows.values_list("delivery", "run", "number")
        }

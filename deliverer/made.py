"""Which attempts were made before, though their messages have come: the log is asked.

A deliverer that goes down has what it had not acked given out again, and what it had published for
the next attempt is published once more by whoever takes that.
"""

from collections.abc import Iterable
from contextlib import suppress

from django.db import router

from deliverer.log import Log
from durian.database import available
from durian.errors import Unavailable
from durian.models import Attempt
from durian.wire.messages import AttemptKey

MAX_FORESEEN = 100_000
"""More than a deliverer takes at once. What a connection took with it is foreseen and not asked."""
BATCH = 1_000
"""How many deliveries one query asks about: each is a parameter, which databases bound."""


class Made:
    """Asks the log's table, and what waits to be written to it. For one thread.

    It is read where it is written: a replica may not know yet of the attempt before.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._foreseen: dict[AttemptKey, bool] = {}

    def foresee(self, attempts: Iterable[AttemptKey]) -> None:
        """Ask about all of `attempts` by one query, for the next calls of `has`.

        Without the database nothing is asked.
        """
        left = list(attempts)
        if len(self._foreseen) >= MAX_FORESEEN:
            self._foreseen.clear()
        # `has` will ask again, and say what is wrong.
        with suppress(Unavailable):
            for start in range(0, len(left), BATCH):
                batch = left[start : start + BATCH]
                # First: what is written in between is in neither after the query.
                made = {attempt for attempt in batch if self._log.awaits(attempt)}
                made |= _written(batch)
                self._foreseen |= {attempt: attempt in made for attempt in batch}

    def has(self, attempt: AttemptKey) -> bool:
        """Say whether `attempt` is in the log or about to be. Raises Unavailable.

        When broker and database are away at once, what comes again is in neither.
        """
        foreseen = self._foreseen.pop(attempt, None)
        if self._log.awaits(attempt):
            return True
        return attempt in _written([attempt]) if foreseen is None else foreseen


def _written(attempts: list[AttemptKey]) -> set[AttemptKey]:
    """Return the attempts in the log of the deliveries of `attempts`."""
    home = router.db_for_write(Attempt)
    deliveries = {delivery for delivery, _, _ in attempts}
    with available(home):
        rows = Attempt.objects.using(home).filter(delivery__in=deliveries)
        return {
            (str(delivery), run, number)
            for delivery, run, number in rows.values_list("delivery", "run", "number")
        }

"""What the database has to be asked of a delivery first: to whom it goes, and whether it was made.

The pump has it read by a thread of its own; what is read there is known to whoever makes it.
"""

import time
from collections.abc import Callable, Sequence

from deliverer.log import Log
from deliverer.made import Made
from deliverer.targets import Targets
from durian.errors import Unavailable
from durian.wire.broker import Incoming
from durian.wire.delays import is_early
from durian.wire.messages import Label, label


class DeliveryReader:
    """Reads for `targets`, and which attempts are in the `log`."""

    def __init__(self, targets: Targets, log: Log, clock: Callable[[], float] = time.time) -> None:
        self._targets = targets
        self._log = log
        self._made = Made(log)
        self._clock = clock

    def wants(self, incoming: Incoming) -> bool:
        """Say whether something has to be read; not of what is early, or will not be decoded."""
        asked = label(incoming.body)
        if asked is None or is_early(asked, self._clock()):
            return False
        return not self._targets.knows(asked.listener) or self._is_doubtful(incoming, asked)

    def read(self, batch: Sequence[Incoming]) -> None:
        """Read it for all of `batch`, by a query to each table. Raises Unavailable."""
        labelled = [(one, asked) for one in batch if (asked := label(one.body))]
        listeners = {asked.listener for _, asked in labelled}
        self._targets.read({one for one in listeners if not self._targets.knows(one)})
        self._made.read([asked.key for one, asked in labelled if self._is_doubtful(one, asked)])

    def can_do_without(self, incoming: Incoming) -> bool:
        """Say whether only the log was to be asked, and about a retry that may have come twice.

        That one who went down has published it twice is not worth waiting for a database that is
        away.
        """
        asked = label(incoming.body)
        known = asked is not None and self._targets.knows(asked.listener)
        return known and not incoming.redelivered

    def was_made(self, incoming: Incoming, asked: Label) -> bool:
        """Say whether somebody has made this attempt who went down before the ack.

        Raises Unavailable when that has to be known and has not been read.
        """
        if not self._is_doubtful(incoming, asked):
            return False
        made = self._made.has(asked.key)
        if made is None and incoming.redelivered:
            raise Unavailable("The log has not been asked about an attempt that came again.")
        return bool(made)

    def _is_doubtful(self, incoming: Incoming, asked: Label) -> bool:
        """Say whether the attempt may have been made: given out again, or a retry published twice.

        The latter is by one who went down between a retry and the log, before the ack.
        """
        return incoming.redelivered or (asked.attempt > 1 and not self._log.is_behind)

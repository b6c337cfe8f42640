"""What a pump has taken and not acked, over all the connections that it has had meanwhile."""

from collections.abc import Iterable
from dataclasses import dataclass

from durian.wire.backoff import Backoff
from durian.wire.broker import Incoming
from durian.wire.outcome import Outcome


@dataclass(slots=True, eq=False)
class Job:
    """A message on its way through the pump; it came by the connection of that number.

    `was_aside` says that what its handler wants to know was read, or tried to; `backoff` is of a
    handler that raised Unavailable, `error` what keeps the message from being handled at all.
    """

    incoming: Incoming
    connection: int
    was_aside: bool = False
    backoff: Backoff | None = None
    error: Exception | None = None
    outcome: Outcome | None = None
    unconfirmed: int = 0


class Jobs:
    """The jobs of a pump. For one thread.

    What was under way when a connection was lost is given out again, maybe to this very pump. Then
    it is not handled a second time: what is acked when its handler is done is the new message.
    """

    def __init__(self) -> None:
        self._jobs: set[Job] = set()
        self._orphans: dict[bytes, Job] = {}
        """Those of connections that were lost, by their bodies."""

    def __len__(self) -> int:
        """Return how many messages are neither acked nor lost."""
        return len(self._jobs)

    def begin(self, incoming: Incoming, connection: int) -> Job | None:
        """Return the job for a message, None if it has come again for one that is under way."""
        orphan = self._orphans.pop(incoming.body, None) if incoming.redelivered else None
        if orphan:
            orphan.incoming, orphan.connection = incoming, connection
            return None
        job = Job(incoming, connection)
        self._jobs.add(job)
        return job

    def end(self, job: Job) -> None:
        """Take note that a job is done."""
        self._jobs.discard(job)
        if self._orphans.get(job.incoming.body) is job:
            del self._orphans[job.incoming.body]

    def lose(self, unhandled: Iterable[Job]) -> None:
        """Take note that the connection is lost, and forget what nobody has handled yet."""
        self._jobs.difference_update(unhandled)
        self._orphans = {job.incoming.body: job for job in self._jobs}

"""What waits aside while the other messages go on: for what a database has to say of it first.

It is read by a thread of its own, for all together that wait. So a database that is slow, locked or
away holds up those messages alone that cannot do without it, and neither heartbeats nor acks.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from durian.errors import Unavailable
from durian.wire.backoff import Backoff
from durian.wire.broker import Incoming
from durian.wire.jobs import Job

logger = logging.getLogger("durian.wire")

AT_ONCE = 1_000
"""How many messages are read for together."""
LOOK_SECONDS = 0.05
COMPLAIN_SECONDS = 1.0


class Reader(Protocol):
    """What knows of a handler's messages what has to be read, and reads it."""

    def wants(self, incoming: Incoming) -> bool:
        """Say whether something has to be read before `incoming` is handled. Never blocks."""
        ...

    def read(self, batch: Sequence[Incoming]) -> None:
        """Read that for all of `batch`; may block. Raises Unavailable."""
        ...

    def can_do_without(self, incoming: Incoming) -> bool:
        """Say whether `incoming` may be handled though what it wants cannot be read."""
        ...


class Aside:
    """Takes jobs, has `reader` read for them, and gives them back by `give_back`, from its thread.

    One whose handler has raised comes back after a while, which grows each time. When something
    unforeseen is raised for many, each is read for alone, and the one at fault comes back with the
    error.
    """

    def __init__(
        self, queue: str, reader: Reader | None, give_back: Callable[[Sequence[Job]], None]
    ) -> None:
        self._queue = queue
        self._reader = reader
        self._give_back = give_back
        self._waiting: list[Job] = []
        self._changed = threading.Condition()
        self._backoff = Backoff()
        self._next_complaint = 0.0
        self._stopping = False

    def put(self, job: Job, why: Unavailable | None = None) -> None:
        """Take a job; `why` is what its handler raised. From any thread."""
        job.was_aside = True
        if why and job.backoff:
            self._complain(job.backoff.failed(), why)
        elif why:
            # At once, the first time: what was read may have been forgotten since.
            job.backoff = Backoff()
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()

    def forget(self) -> None:
        """Forget all that waits. From any thread."""
        with self._changed:
            self._waiting.clear()

    def run(self) -> None:
        """Read for what waits, until `stop`."""
        while batch := self._next():
            self._read(batch)

    def stop(self) -> None:
        """Let `run` return."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _next(self) -> list[Job]:
        """Return what is due, once something is, and nothing at the end."""
        with self._changed:
            while not self._stopping:
                if batch := self._due():
                    return batch
                self._changed.wait(LOOK_SECONDS if self._waiting else None)
        return []

    def _due(self) -> list[Job]:
        if not self._backoff.due:
            return []
        due = [job for job in self._waiting if not job.backoff or job.backoff.due][:AT_ONCE]
        if due:
            taken = set(due)
            self._waiting = [job for job in self._waiting if job not in taken]
        return due

    def _read(self, batch: list[Job]) -> None:
        try:
            if self._reader:
                self._reader.read([job.incoming for job in batch])
            self._backoff.succeeded()
        except Unavailable as error:
            self._complain(self._backoff.failed(), error)
            batch = self._keep(batch)
        except Exception as error:
            if len(batch) > 1:
                self._read_one_by_one(batch)
                return
            batch[0].error = error
        self._give_back(batch)

    def _read_one_by_one(self, batch: list[Job]) -> None:
        for number, job in enumerate(batch):
            self._read([job])
            if self._backoff.failing:
                # It has gone away: the others are read for with all that waits.
                with self._changed:
                    self._waiting += batch[number + 1 :]
                return

    def _keep(self, batch: list[Job]) -> list[Job]:
        """Let those wait on that cannot do without, and return the others."""
        able = {job for job in batch if self._reader and self._reader.can_do_without(job.incoming)}
        with self._changed:
            self._waiting += [job for job in batch if job not in able]
        return list(able)

    def _complain(self, wait: float, error: Unavailable) -> None:
        if time.monotonic() >= self._next_complaint:
            self._next_complaint = time.monotonic() + COMPLAIN_SECONDS
            logger.warning("Messages of %s wait %.1f s: %s", self._queue, wait, error)

"""The log: one Attempt row for each POST, inserted in batches by a thread of its own.

The log is the account, the broker is the truth: without the database the rows wait here, and their
messages stay unacked, for PATIENCE_SECONDS; after that the messages are acked all the same, before
the broker takes them for lost, and up to MAX_KEPT rows go on waiting.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from django.db import router

from deliverer.insert import insert
from deliverer.row import Row
from durian.database import available, own_connections
from durian.errors import Unavailable
from durian.models import Attempt
from durian.wire.backoff import Backoff
from durian.wire.messages import AttemptKey

logger = logging.getLogger("durian.deliverer")

BATCH = 500
GATHER_SECONDS = 0.02
PATIENCE_SECONDS = 15 * 60.0
"""Half of RabbitMQ's consumer_timeout (30 minutes), after which it closes the channel."""
MAX_KEPT = 100_000
STOPPING_SECONDS = 0.2
"""How often a log that is to end tries a database that is away."""

Done = Callable[[], None]


class Log:
    """Takes attempts from any thread and writes them; `on_written` is shown each batch, from its
    thread, and so `on_failure` is called should it end by itself."""

    def __init__(
        self,
        on_written: Callable[[Sequence[Row]], None] = lambda rows: None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_written = on_written
        self._on_failure = on_failure
        self._waiting: deque[_Entry] = deque()
        self._unwritten: set[AttemptKey] = set()
        """The attempts that wait or are being written."""
        self._arrived = threading.Condition()
        self._backoff = Backoff()
        self._end_by: float | None = None
        self._thread = threading.Thread(target=self._run_and_close, name="durian-log", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, within: float) -> None:
        """Write what waits, and return when that is done or after `within` seconds."""
        with self._arrived:
            self._end_by = time.monotonic() + within
            self._arrived.notify()
        self._thread.join(within)
        if self._waiting:
            logger.error("%d attempts were not logged: the database is away.", len(self._waiting))

    def write(self, row: Row, done: Done) -> None:
        """Take `row`; `done` is called, from the log's thread, when it is written."""
        with self._arrived:
            entry = _Entry(row, done)
            self._waiting.append(entry)
            self._unwritten.add(entry.key)
            self._arrived.notify()

    def awaits(self, attempt: AttemptKey) -> bool:
        """Say whether this attempt is about to be written."""
        return attempt in self._unwritten

    @property
    def is_behind(self) -> bool:
        """Whether rows wait since they could not be written."""
        return self._backoff.failing

    def _run_and_close(self) -> None:
        try:
            with own_connections():
                self._run()
        except Exception:
            logger.critical("The log failed; nothing would be acked any more.", exc_info=True)
            self._on_failure()

    def _run(self) -> None:
        while not self._finished():
            with self._arrived:
                self._arrived.wait_for(lambda: self._waiting or self._stopping, timeout=1.0)
            if not self._stopping:
                time.sleep(GATHER_SECONDS)
            if self._waiting:
                self._write_batch()

    @property
    def _stopping(self) -> bool:
        return self._end_by is not None

    def _finished(self) -> bool:
        if self._end_by is None:
            return False
        return not self._waiting or time.monotonic() >= self._end_by

    def _write_batch(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        rows = [entry.row for entry in batch]
        try:
            with available(router.db_for_write(Attempt)):
                insert(rows)
            self._backoff.succeeded()
        except Exception as error:
            # Whatever it is, this thread goes on: without it nothing would be acked any more.
            self._keep(batch, error)
            return
        for entry in batch:
            self._unwritten.discard(entry.key)
            entry.finish()
        self._on_written(rows)

    def _keep(self, batch: list["_Entry"], error: Exception) -> None:
        wait = self._backoff.failed()
        surprise = None if isinstance(error, Unavailable) else error
        logger.warning(
            "Attempts wait to be logged, next try in %.1f s: %s", wait, error, exc_info=surprise
        )
        self._waiting.extendleft(reversed(batch))
        overdue = time.monotonic() - PATIENCE_SECONDS
        # A copy: others go on writing.
        for entry in list(self._waiting):
            if entry.taken < overdue:
                entry.finish()
        while len(self._waiting) > MAX_KEPT:
            dropped = self._waiting.popleft()
            self._unwritten.discard(dropped.key)
            logger.error("An attempt is dropped from the log: %s", dropped.row.attempt())
        if self._stopping:
            time.sleep(min(wait, STOPPING_SECONDS))
            return
        with self._arrived:
            self._arrived.wait_for(lambda: self._stopping, timeout=wait)


class _Entry:
    __slots__ = ("_done", "key", "row", "taken")

    def __init__(self, row: Row, done: Done) -> None:
        self.row = row
        self.key: AttemptKey = (row.delivery, row.run, row.number)
        self.taken = time.monotonic()
        self._done: Done | None = done

    def finish(self) -> None:
        if self._done:
            self._done()
            self._done = None

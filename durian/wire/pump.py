"""The one sequence of every stage: decode, handle, publish confirmed, record, then ack.

A handler takes a message and answers, now or later and from any thread, with an outcome. Thousands
may be in flight, and end in any order. The pump's thread alone touches the connections; what needs
none of them is done where the answer comes from, so that the pump sleeps meanwhile.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from durian.errors import MessageRefused, TopologyError, Unavailable
from durian.wire.aside import Aside, Reader
from durian.wire.backoff import Backoff
from durian.wire.broker import Broker, Consumer, Incoming
from durian.wire.dead import Autopsy, letter
from durian.wire.jobs import Job, Jobs
from durian.wire.outcome import Handler, Messages, Outcome
from durian.wire.sender import Sender
from durian.wire.unhandled import instead_of
from durian.wire.wakeup import HasFileno, Wakeup, wait_readable

logger = logging.getLogger("durian.wire")

TICK_SECONDS = 1.0
HANDLE_SECONDS = 0.1
CENSUS_SECONDS = 5.0


class Pump:
    """Consumes one queue and hands each message to `handler`.

    A handler that raises MessageError, or anything unforeseen, sends its message to the dead
    letters; one that raises Unavailable is called again with the same message, later. It must not
    block: what it has to know of a message, `reader` reads before, in the thread of `read_aside`.
    `parking` is the queue in which a message of an unknown version waits for a newer process.
    `on_census` is told every CENSUS_SECONDS how many consumers the queue has.
    """

    def __init__(
        self,
        broker: Broker,
        queue: str,
        handler: Handler,
        *,
        prefetch: int,
        parking: str,
        reader: Reader | None = None,
        on_census: Callable[[int], None] | None = None,
    ) -> None:
        self._broker = broker
        self._queue = queue
        self._handler = handler
        self._prefetch = prefetch
        self._parking = parking
        self._reader = reader
        self._on_census = on_census
        self._next_census = 0.0
        self._consumer: Consumer | None = None
        self._connection = 0
        self._backoff = Backoff()
        self._sender = Sender(broker)
        self._wakeup = Wakeup()
        self._jobs = Jobs()
        self._held: deque[Job] = deque()
        """Those that can be handled next."""
        self._set_aside: set[Job] = set()
        self._aside = Aside(queue, reader, self._give_back)
        self._answering = threading.Lock()
        self._steps: deque[Callable[[], None]] = deque()
        self._give_up_at: float | None = None

    def run(self) -> None:
        """Pump until `stop`, then finish what is in flight and give back the rest."""
        try:
            while not self._finished():
                self._turn()
        finally:
            self._aside.stop()
            if self._consumer:
                self._consumer.close()
            self._sender.close()

    def read_aside(self) -> None:
        """Read what the handler wants to know, until `run` returns: for a thread beside it."""
        self._aside.run()

    def stop(self, within: float) -> None:
        """Take no more messages and let `run` return within so many seconds. From any thread."""
        self._later(partial(self._cancel, time.monotonic() + within))

    def _finished(self) -> bool:
        if self._give_up_at is None:
            return False
        unhandled = len(self._held) + len(self._set_aside)
        done = len(self._jobs) <= unhandled and self._sender.idle and not self._steps
        return done or self._gives_up()

    def _gives_up(self) -> bool:
        return self._give_up_at is not None and time.monotonic() >= self._give_up_at

    def _turn(self) -> None:
        self._consume()
        self._call_handler()
        self._take_steps()
        self._sender.turn()
        self._flush()
        sources: list[HasFileno] = [self._wakeup, *self._sender.sources()]
        if self._consumer:
            sources.append(self._consumer)
        if not self._steps:
            wait_readable(sources, self._patience())
        self._wakeup.clear()

    def _flush(self) -> None:
        try:
            if self._consumer:
                self._consumer.flush()
        except Unavailable as error:
            self._lose_consumer(error)

    def _patience(self) -> float:
        if self._may_handle() or self._finished():
            return 0.0
        waiting = self._consumer is None or self._held or not self._sender.idle
        longest = 0.1 if waiting else TICK_SECONDS
        if self._give_up_at is not None:
            longest = min(longest, max(self._give_up_at - time.monotonic(), 0.0))
        return self._sender.patience(longest)

    def _consume(self) -> None:
        try:
            if self._consumer is None and self._give_up_at is None and self._backoff.due:
                self._connection += 1
                self._consumer = self._broker.consumer(
                    self._queue, self._prefetch, self._on_message
                )
                self._backoff.succeeded()
                logger.info("Consuming %s.", self._queue)
            if self._consumer:
                # First: what arrives with its answer is not seen by whoever waits for the socket.
                self._take_census(self._consumer)
                self._consumer.read()
        except Unavailable as error:
            self._lose_consumer(error)

    def _take_census(self, consumer: Consumer) -> None:
        if self._on_census and time.monotonic() >= self._next_census:
            self._next_census = time.monotonic() + CENSUS_SECONDS
            self._on_census(consumer.consumers())

    def _lose_consumer(self, error: Unavailable) -> None:
        level = logging.ERROR if isinstance(error, TopologyError) else logging.WARNING
        wait = self._backoff.failed()
        logger.log(level, "Cannot consume %s, next try in %.1f s: %s", self._queue, wait, error)
        if self._consumer:
            self._consumer.close()
            self._consumer = None
        # What was not handled is not acked: the broker gives it out again.
        self._jobs.lose([*self._held, *self._set_aside])
        self._held.clear()
        self._set_aside.clear()
        self._aside.forget()

    def _cancel(self, give_up_at: float) -> None:
        self._give_up_at = give_up_at
        try:
            if self._consumer:
                self._consumer.cancel()
        except Unavailable as error:
            self._lose_consumer(error)

    def _on_message(self, incoming: Incoming) -> None:
        if self._give_up_at is not None:
            return  # It was on its way when `stop` was called; closing gives it back.
        job = self._jobs.begin(incoming, self._connection)
        if job:
            self._held.append(job)

    def _handle(self, job: Job) -> None:
        try:
            if job.error:
                raise job.error
            if self._reader and not job.was_aside and self._reader.wants(job.incoming):
                self._put_aside(job)
                return
            self._handler(job.incoming, partial(self._on_answer, job))
        except Unavailable as error:
            self._put_aside(job, error)
        except Exception as error:
            instead = instead_of(job.incoming, error, self._broker.topology, self._parking)
            self._on_answer(job, Outcome(publish=[instead]))

    def _put_aside(self, job: Job, why: Unavailable | None = None) -> None:
        self._set_aside.add(job)
        self._aside.put(job, why)

    def _give_back(self, jobs: Sequence[Job]) -> None:
        """Take back what was put aside, from another thread."""
        self._later(partial(self._take_back, jobs))

    def _take_back(self, jobs: Sequence[Job]) -> None:
        # Not what a connection took with it meanwhile.
        self._held.extend(job for job in jobs if job in self._set_aside)
        self._set_aside.difference_update(jobs)

    def _call_handler(self) -> None:
        """Hand over what has arrived, for HANDLE_SECONDS: acks and heartbeats have to leave."""
        until = time.monotonic() + HANDLE_SECONDS
        while self._may_handle() and time.monotonic() < until:
            self._handle(self._held.popleft())
            self._take_steps()

    def _may_handle(self) -> bool:
        """Say whether something is there, and not too much waits to be sent.

        One message may become thousands: while the broker takes none, no more are made.
        """
        return bool(self._held) and self._give_up_at is None and not self._sender.crowded

    def _take_steps(self) -> None:
        while self._steps:
            self._steps.popleft()()

    def _on_answer(self, job: Job, outcome: Outcome) -> None:
        """Take an answer, in the thread that gives it: only what is published needs the pump's."""
        with self._answering:
            if job.outcome is not None:
                return  # The handler answered, and then raised.
            job.outcome = outcome
        if outcome.publish:
            self._later(partial(self._publish, job, outcome.publish))
        else:
            self._record(job)

    def _publish(self, job: Job, messages: Messages) -> None:
        if self._gives_up():
            return  # Its message is given back: what was published too would come twice.
        job.unconfirmed = len(messages)
        self._sender.send_all(
            messages, partial(self._on_confirm, job), partial(self._on_refusal, job)
        )

    def _on_confirm(self, job: Job) -> None:
        job.unconfirmed -= 1
        if not job.unconfirmed:
            self._record(job)

    def _on_refusal(self, job: Job, error: MessageRefused) -> None:
        """Publish a dead letter in the place of what the broker refuses."""
        autopsy = Autopsy(reason="message-refused", detail=str(error))
        instead = letter(self._broker.topology, job.incoming, autopsy)
        self._sender.send(instead, partial(self._on_confirm, job), partial(self._forget, job))

    def _forget(self, job: Job, error: MessageRefused) -> None:
        self._jobs.end(job)
        logger.error("A message of %s stays there, its letter is refused: %s", self._queue, error)

    def _record(self, job: Job) -> None:
        done = partial(self._later, partial(self._ack, job))
        if job.outcome and job.outcome.record:
            job.outcome.record(done)
        else:
            done()

    def _ack(self, job: Job) -> None:
        self._jobs.end(job)
        # A connection that was lost took its unacked messages with it.
        if self._consumer and job.connection == self._connection:
            # What has had consequences would have them twice.
            hold = not (job.outcome and job.outcome.publish)
            self._consumer.ack(job.incoming.tag, hold)

    def _later(self, step: Callable[[], None]) -> None:
        self._steps.append(step)
        self._wakeup.set()

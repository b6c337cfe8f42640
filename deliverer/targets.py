"""The listeners that deliveries go to: read once, and anew when they have changed."""

import logging
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.db import router
from django.utils import timezone
from requests import PreparedRequest

from deliverer.http import checked
from deliverer.request import prepare
from durian.conf import guard
from durian.database import available
from durian.errors import ConfigurationError, KeyMissing, Unavailable
from durian.models import DeletedListener, Listener, ListenerClock
from durian.options import Options, from_config
from durian.registry import hooks
from durian.signing import Signer, generate_secret

logger = logging.getLogger("durian.deliverer")

CHECK_SECONDS = 0.5
MAX_KEPT = 100_000
"""More than a deliverer takes at once."""


@dataclass(frozen=True)
class Target:
    """One listener, ready to be called for one hook."""

    listener: int
    state: str
    options: Options
    template: PreparedRequest
    signer: Signer = field(repr=False)
    good_until: datetime | None = None


class Targets:
    """Targets by listener and hook. `read` is for one thread, `watch` for another, the rest for a
    third, which never waits for the database.

    They are read where they are written: a replica may not know yet of whom the matcher found.
    """

    def __init__(self) -> None:
        self._rows: dict[int, Listener | None] = {}
        """None is for who is not there."""
        self._kept: dict[int, dict[str, Target]] = {}
        """Made of those rows that are active."""
        self._version = -1
        self._changed: set[int] | None = set()
        """Who was forgotten since the last reading began; None: everybody."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def knows(self, listener: int) -> bool:
        """Say whether `get` may be called for what has just come for `listener`.

        Who is not active is read anew each time: an event that was raised just after the pause is
        theirs.
        """
        row = self._rows.get(listener)
        return row is not None and row.state == Listener.State.ACTIVE

    def read(self, listeners: Collection[int]) -> None:
        """Read `listeners`, for the next calls of `get`. Raises Unavailable."""
        home, left = router.db_for_write(Listener), set(listeners)
        while left and not self._stopping.is_set():
            with self._lock:
                self._changed = set()
            with available(home):
                # A filter may be large, and nobody here asks for it.
                rows = Listener.objects.using(home).defer("match").in_bulk(left)
            with self._lock:
                # What changed meanwhile may have been read before.
                fresh = set() if self._changed is None else left - self._changed
                self._take({listener: rows.get(listener) for listener in fresh})
            left -= fresh

    def _take(self, rows: dict[int, Listener | None]) -> None:
        for listener in rows:
            self._forget(listener)
        self._rows |= rows
        while len(self._rows) > MAX_KEPT:
            self._forget(next(iter(self._rows)))

    def _forget(self, listener: int) -> None:
        self._rows.pop(listener, None)
        self._kept.pop(listener, None)

    def get(self, listener: int, hook: str) -> Target | None:
        """Return the target of `listener`, None if there is no such listener any more.

        Raises Unavailable when it has not been read.
        """
        kept = self._kept.get(listener, {}).get(hook)
        if kept and (kept.good_until is None or kept.good_until > timezone.now()):
            return kept
        try:
            row = self._rows[listener]
        except KeyError:
            raise Unavailable(f"Listener {listener} has not been read yet.") from None
        if row is None:
            return None
        target = target_of(row, hook)
        with self._lock:
            # Unless it was forgotten meanwhile.
            if self._rows.get(listener) is row and target.state == Listener.State.ACTIVE:
                self._kept.setdefault(listener, {})[hook] = target
        return target

    def watch(self) -> None:
        """Forget listeners as they change, until `stop`; looks every CHECK_SECONDS."""
        # At once: what is read before the first look is forgotten by it.
        while not self._stopping.is_set():
            try:
                self.refresh()
            except Unavailable as error:
                logger.warning("Changes of listeners are not seen for now: %s", error)
            self._stopping.wait(CHECK_SECONDS)

    def stop(self) -> None:
        """Let `watch` return."""
        self._stopping.set()

    def refresh(self) -> None:
        """Forget what has changed since the last look. Raises Unavailable."""
        home = router.db_for_write(Listener)
        with available(home):
            now = ListenerClock.now()
            if now == self._version:
                return
            known = 0 <= self._version < now
            changed = list(_changed_since(self._version, home)) if known else None
        with self._lock:
            self._version = now
            if changed is None:
                self._changed = None
                self._rows.clear()
                self._kept.clear()
            for listener in changed or ():
                self._forget(listener)
                if self._changed is not None:
                    self._changed.add(listener)


def _changed_since(version: int, using: str) -> Iterator[int]:
    changed = Listener.objects.using(using).filter(version__gt=version)
    yield from changed.values_list("id", flat=True)
    deleted = DeletedListener.objects.using(using).filter(version__gt=version)
    yield from deleted.values_list("listener_id", flat=True)


def target_of(listener: Listener, hook: str) -> Target:
    """Return `listener` as a target for events of `hook`.

    Raises InvalidURL, AddressRefused or ConfigurationError for what can never be called, and
    KeyMissing when this process lacks the key to the listener's secrets.
    """
    known = hooks.get(hook)
    url = checked(guard(), listener.url).url
    options = from_config(listener.config, known.options if known else Options())
    signer, good_until = _signing(listener)
    return Target(
        listener=listener.pk,
        state=listener.state,
        options=options,
        template=prepare(url, options.headers),
        signer=signer,
        good_until=good_until,
    )


def _signing(listener: Listener) -> tuple[Signer, datetime | None]:
    """Return what signs for `listener`, and until when."""
    if listener.state != Listener.State.ACTIVE:
        # Nothing is sent to it: what waits is cancelled, whatever its secrets are.
        return Signer([generate_secret()]), None
    try:
        secrets, until = listener.signing()
    except ConfigurationError as error:
        raise KeyMissing(str(error)) from error
    return Signer(secrets), until

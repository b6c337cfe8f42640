"""The dead letters, for staff: the one page that talks to the broker, and never for long."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import UserPassesTestMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from durian import roles
from durian.errors import Unavailable
from durian.revival import Revival
from durian.web.page import Page, is_staff
from durian.wire.broker import Outgoing
from durian.wire.deadletters import Kept, Leave, Letter, Visitor, Walk

SHOWN = 100
WALK_SECONDS = 2.0
BODY_BYTES = 4096
"""How much of a message the page shows: a hundred of the largest are too much for a browser."""
ANSWER_SECONDS = 3.0
"""How long a request waits for the broker, connecting and all."""


@dataclass
class Look:
    """What one walk has seen: the first letters, and how many there are."""

    letters: list[Letter] = field(default_factory=list)
    total: int = 0


class DeadLetters(UserPassesTestMixin, Page):
    """List, replay and discard dead letters; `durian dead` does the same for many."""

    def test_func(self) -> bool:
        """Let in staff alone: the letters are of all users."""
        return is_staff(self.request.user)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the oldest letters."""
        context: dict[str, Any] = {}
        try:
            look = in_time(_look)
            context = {"shown": [_row(letter) for letter in look.letters], "total": look.total}
        except Unavailable as error:
            context = {"away": str(error)}
        return render(request, "durian/dead.html", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Replay or discard the letters that were ticked."""
        ids = frozenset(request.POST.getlist("id")[:SHOWN])
        discard = request.POST.get("action") == "discard"
        # Here: in the other thread it would open a connection to the database.
        revival = None if discard else Revival(roles.broker().topology)
        try:
            done, kept = in_time(lambda: _change(ids, revival or _discard))
        except Unavailable as error:
            messages.error(request, str(error))
            return self.redirect("dead")
        if revival is None:
            messages.success(request, _discarded(done))
            return self.redirect("dead")
        messages.success(request, _replayed(done))
        for one in kept:
            messages.warning(request, _kept(one))
        if revival.left:
            messages.warning(request, _left(revival))
        return self.redirect("dead")


def in_time(work: Callable[[], Any]) -> Any:
    """Return what `work` returns. Raises Unavailable if it takes over ANSWER_SECONDS.

    It is then not interrupted, but ends by itself: the walk has a deadline of its own.
    """
    executor = ThreadPoolExecutor(max_workers=1)
    try:
        return executor.submit(work).result(timeout=ANSWER_SECONDS)
    except NotInTime as error:
        raise Unavailable(_no_answer()) from error
    finally:
        executor.shutdown(wait=False)


def _no_answer() -> str:
    return _("The broker does not answer. Try again later.")


def _look() -> Look:
    look = Look()

    def keep(letter: Letter) -> Leave:
        look.letters.append(letter)
        return Leave.IN_PLACE

    walk = Walk(roles.broker(), keep, WALK_SECONDS, most=SHOWN)
    walk.run()
    if walk.total and not walk.seen:
        raise Unavailable(_no_answer())  # Or the page would say that there are none.
    look.total = walk.total
    return look


def _change(ids: frozenset[str], answer: Visitor) -> tuple[int, list[Kept]]:
    done = 0

    def visit(letter: Letter) -> Leave | Outgoing:
        nonlocal done
        if letter.id not in ids:
            return Leave.IN_PLACE
        change = answer(letter)
        done += change is not Leave.IN_PLACE
        return change

    walk = Walk(roles.broker(), visit, WALK_SECONDS)
    walk.run()
    return done - len(walk.kept), walk.kept


def _discard(letter: Letter) -> Leave:
    return Leave.DISCARDED


def _row(letter: Letter) -> dict[str, Any]:
    died = letter.autopsy.died
    return {
        "letter": letter,
        "autopsy": letter.autopsy,
        "start": letter.body[:BODY_BYTES],
        "more": max(len(letter.body) - BODY_BYTES, 0),
        "died": datetime.fromtimestamp(died, timezone.utc) if died else None,
    }


def _discarded(count: int) -> str:
    return ngettext("%d letter was discarded.", "%d letters were discarded.", count) % count


def _replayed(count: int) -> str:
    return ngettext("%d letter is sent again.", "%d letters are sent again.", count) % count


def _kept(one: Kept) -> str:
    text = _("%(id)s stays: the broker does not take its %(size)d bytes: %(reason)s")
    return text % {"id": one.id, "size": one.size, "reason": one.reason}


def _left(revival: Revival) -> str:
    text = ngettext(
        "%(count)d letter stays: its listener is paused, disabled or deleted: %(listeners)s. "
        "Resume it first; what was for a deleted one can only be discarded.",
        "%(count)d letters stay: their listeners are paused, disabled or deleted: %(listeners)s. "
        "Resume these first; what was for a deleted one can only be discarded.",
        revival.left,
    )
    return text % {"count": revival.left, "listeners": revival.listeners}

"""The pages of a user's listeners: all of them, one of them, and what can be done with it."""

from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext as _

from durian.conf import config
from durian.database import as_stored
from durian.ids import raised_at
from durian.models import Attempt, Listener
from durian.registry import hooks
from durian.web import deliveries, secrets
from durian.web.page import Page, is_staff, visible_to
from durian.web.paging import Slice, cursor

PAGE = 50
DISABLED_BY_STAFF = "Disabled by the staff of this site."
"""The reason that keeps a subscriber from resuming a listener."""
UNDER_WAY = timedelta(minutes=15)
"""How long before the pause an event may have been raised that found the listener paused, since it
waited for the broker or a matcher."""


class ListListeners(Page):
    """The user's listeners, the newest first, each with its last attempt; for staff, all."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them."""
        listeners = with_last_attempt(visible_to(request.user)).select_related("user")
        before = cursor(request)
        if before is not None:
            listeners = listeners.filter(pk__lt=before)
        shown = Slice(listeners.order_by("-pk"), PAGE)
        return render(request, "durian/list.html", {"shown": shown, "older": before is not None})


class ShowListener(Page):
    """A listener and its recent deliveries."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show them."""
        listener, before = self.listener(pk), cursor(request)
        context = {
            "listener": listener,
            "hook": hooks.get(listener.hook),
            "recent": deliveries.recent(listener, before),
            "older": before is not None,
            "may_resume": may_resume(listener, request.user),
        }
        return render(request, "durian/show.html", context)


class ShowDelivery(Page):
    """All attempts of one delivery, with the answers in full."""

    def get(self, request: HttpRequest, pk: int, delivery: UUID) -> HttpResponse:
        """Show them."""
        listener = self.listener(pk)
        context = {"listener": listener, "runs": deliveries.one(listener, delivery)}
        return render(request, "durian/delivery.html", context)


class ChangeState(Page):
    """A change of a listener's state, by POST."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the listener: who had to log in first comes back so."""
        return self.redirect("show", self.listener(pk).pk)


class PauseListener(ChangeState):
    """Let a listener receive nothing for a while."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Pause it."""
        listener = self.listener(pk)
        active = listener.state == Listener.State.ACTIVE
        if active and listener.set_state(Listener.State.PAUSED):
            messages.success(request, _("Paused: nothing is sent."), fail_silently=True)
        return self.redirect("show", pk)


class ResumeListener(ChangeState):
    """Let a paused or disabled listener receive events again."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Resume it, and say how to get what it missed."""
        listener = self.listener(pk)
        if not may_resume(listener, request.user):
            raise PermissionDenied(DISABLED_BY_STAFF)
        if listener.state != Listener.State.ACTIVE:
            missed_since = earliest_missed(listener)
            if listener.set_state(Listener.State.ACTIVE):
                messages.success(request, _resumed(pk, missed_since), fail_silently=True)
        return self.redirect("show", pk)


class DeleteListener(Page):
    """Delete a listener."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask whether it is meant."""
        return render(request, "durian/delete.html", {"listener": self.listener(pk)})

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Delete it."""
        self.listener(pk).delete()
        messages.success(request, _("Deleted."), fail_silently=True)
        return self.redirect("list")


class RotateSecret(Page):
    """Replace a listener's secret."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask whether it is meant."""
        context = {"listener": self.listener(pk), "hours": config().secret_overlap_hours}
        return render(request, "durian/rotate.html", context)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make a new one and show it."""
        listener = self.listener(pk)
        try:
            listener.rotate_secret()
        except ValidationError as error:
            messages.error(request, " ".join(error.messages), fail_silently=True)
            return self.redirect("show", pk)
        secrets.show_once(request, listener)
        return self.redirect("secret", pk)


class ShowSecret(Page):
    """The secret that was just made; the second time it is not shown."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show it once."""
        listener = self.listener(pk)
        secret = secrets.take(request, listener)
        return render(request, "durian/secret.html", {"listener": listener, "secret": secret})


def may_resume(listener: Listener, user: Any) -> bool:
    """Say whether `user` may resume `listener`: only staff what staff disabled."""
    return is_staff(user) or listener.state_reason != DISABLED_BY_STAFF


def earliest_missed(listener: Listener) -> datetime:
    """Return from when on events may not have reached a listener that is not active.

    What was raised before and waited for another attempt was cancelled meanwhile.
    """
    cancelled = Attempt.objects.filter(
        listener_id=listener.pk,
        outcome=Attempt.Outcome.CANCELLED,
        started_at__gte=listener.state_since,
    )
    first = cancelled.order_by("event").values_list("event", flat=True).first()
    since = listener.state_since
    return min(since, as_stored(raised_at(first))) if first else since


def with_last_attempt(listeners: QuerySet[Listener]) -> QuerySet[Listener]:
    """Return `listeners`, each with `last_outcome`, `last_status` and `last_at`, None if none."""
    last = Attempt.objects.filter(listener_id=OuterRef("pk")).order_by("-started_at")
    return listeners.annotate(
        last_outcome=Subquery(last.values("outcome")[:1]),
        last_status=Subquery(last.values("status")[:1]),
        last_at=Subquery(last.values("started_at")[:1]),
    )


def _resumed(pk: int, since: datetime) -> str:
    text = _(
        "Resumed. What happened since %(local)s was not sent; whoever runs this site can send it "
        "now: manage.py durian replay --listener %(pk)d --since %(since)s --failed"
    )
    moment = (since - UNDER_WAY).astimezone(timezone.utc).isoformat(timespec="seconds")
    local = since.astimezone(get_current_timezone()).strftime("%Y-%m-%d %H:%M")
    return text % {"local": local, "pk": pk, "since": moment}

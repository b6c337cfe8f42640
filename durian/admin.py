"""Django's admin: listeners to manage, events and attempts to look at, for staff."""

from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db import router, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from durian.models import Attempt, Event, Listener, ListenerClock
from durian.registry import hooks
from durian.signals import events_committed
from durian.web.deliveries import as_text
from durian.web.listeners import DISABLED_BY_STAFF

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    AnyPaginator = Paginator[Any]
else:  # Django's own classes take no type arguments.
    ModelAdmin, AnyPaginator = admin.ModelAdmin, Paginator

COUNTED = 10_000
"""Rows that are counted and paged through at most: tables of events have millions."""


class BoundedPaginator(AnyPaginator):
    """Counts no further than COUNTED; filters and the search lead to what is older."""

    @cached_property
    def count(self) -> int:
        """The number of rows, COUNTED if there are more."""
        return cast("QuerySet[Any]", self.object_list).order_by()[:COUNTED].count()


class BigTable(ModelAdmin):
    """A table that is too big to be counted."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50


class ReadOnly(BigTable):
    """A table that durian writes and people only read."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """No."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No: `durian prune` does that."""
        return False


class HookFilter(admin.SimpleListFilter):
    """By hook: those that are registered, without asking a big table which there are."""

    title = _("hook")
    parameter_name = "hook"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the hooks."""
        return [(hook.name, hook.verbose_name) for hook in hooks.all()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return those of the chosen one."""
        return queryset.filter(hook=self.value()) if self.value() else queryset


class PublishedFilter(admin.SimpleListFilter):
    """By how far an event has come."""

    title = _("publishing")
    parameter_name = "publishing"
    conditions: ClassVar = {
        "waiting": Q(published_at__isnull=True, error=""),
        "quarantined": Q(published_at__isnull=True) & ~Q(error=""),
        "published": Q(published_at__isnull=False),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the stages."""
        return [
            ("waiting", _("waiting")),
            ("quarantined", _("quarantined")),
            ("published", _("published")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return those of the chosen stage."""
        condition = self.conditions.get(self.value() or "")
        return queryset.filter(condition) if condition else queryset


@admin.register(Listener)
class ListenerAdmin(BigTable):
    """Listeners of all users. Their secrets are not here; `rotate` is on the listener's page."""

    list_display = ("hook", "url", "user", "state", "state_since", "updated_at")
    list_filter = ("state", HookFilter)
    list_select_related = ("user",)
    search_fields = ("hook", "url", f"user__{get_user_model().USERNAME_FIELD}")
    raw_id_fields = ("user",)
    fields = (
        "user", "hook", "url", "description", "match", "config",
        "state", "state_reason", "state_since", "created_at", "updated_at",
    )  # fmt: skip
    readonly_fields = ("state", "state_reason", "state_since", "created_at", "updated_at")
    actions = ("pause", "resume", "disable")

    def save_model(self, request: HttpRequest, obj: Listener, form: Any, change: bool) -> None:
        """Save what was changed and no more: the secrets may have been rotated meanwhile."""
        obj.save(update_fields=form.changed_data if change else None)

    @admin.action(description=_("Pause the selected listeners"), permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Listener]) -> None:
        """Let them receive nothing; their users may resume them."""
        self._set(request, queryset, Listener.State.PAUSED)

    @admin.action(description=_("Resume the selected listeners"), permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Listener]) -> None:
        """Let them receive events."""
        self._set(request, queryset, Listener.State.ACTIVE)

    @admin.action(description=_("Disable the selected listeners"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Listener]) -> None:
        """Let them receive nothing until staff resumes them."""
        self._set(request, queryset, Listener.State.DISABLED, DISABLED_BY_STAFF)

    def _set(
        self,
        request: HttpRequest,
        queryset: QuerySet[Listener],
        state: Listener.State,
        reason: str = "",
    ) -> None:
        using = router.db_for_write(Listener)
        with ListenerClock.ticked(using):
            # Each is in the state that is read: nobody else changes one meanwhile.
            for listener in queryset.using(using):
                listener.set_state(state, reason)
                self.log_change(request, listener, f"{state.label} {reason}".strip())
        self.message_user(request, _("Done: %(state)s.") % {"state": state.label})


@admin.register(Event)
class EventAdmin(ReadOnly):
    """Events of the default database: the outbox and the archive."""

    list_display = ("id", "hook", "created_at", "published_at", "quarantined")
    list_filter = (PublishedFilter, HookFilter)
    ordering = ("-id",)
    fields = ("id", "hook", "created_at", "published_at", "error", "envelope", "archive", "body")
    search_fields = ("id",)
    search_help_text = _("The id of an event (webhook-id).")
    actions = ("publish_again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """Leave the bodies out; the page of one event reads its own."""
        return super().get_queryset(request).defer("body")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        """Find an event by its whole id, by way of the index."""
        if not search_term:
            return queryset, False
        return queryset.filter(pk=found) if (
            found := _uuid(search_term)
        ) else queryset.none(), False

    def has_publish_permission(self, request: HttpRequest) -> bool:
        """Say whether the user could change events, if anybody could."""
        return request.user.has_perm("durian.change_event")

    @admin.display(boolean=True, description=_("quarantined"))
    def quarantined(self, event: Event) -> bool:
        """Say whether it could not be published, and why is in `error`."""
        return bool(event.error)

    @admin.action(description=_("Publish again what is in quarantine"), permissions=["publish"])
    def publish_again(self, request: HttpRequest, queryset: QuerySet[Event]) -> None:
        """Clear the errors, so that the relay takes the events up again."""
        using = queryset.db
        with transaction.atomic(using=using):
            quarantined = queryset.filter(PublishedFilter.conditions["quarantined"])
            count = quarantined.update(error="", claimed_until=None)
            transaction.on_commit(
                lambda: events_committed.send(sender=Event, using=using, rows=[]), using=using
            )
        self.message_user(request, _("%(count)d events wait to be published.") % {"count": count})


@admin.register(Attempt)
class AttemptAdmin(ReadOnly):
    """The log: every POST, with its answer as text."""

    list_display = (
        "started_at",
        "hook",
        "listener_id",
        "number",
        "outcome",
        "status",
        "duration_ms",
    )
    list_filter = ("outcome", HookFilter)
    ordering = ("-started_at",)
    fields = (
        "started_at", "hook", "listener_id", "event", "delivery", "run", "number",
        "outcome", "status", "duration_ms", "error", "answer_text",
    )  # fmt: skip
    search_fields = ("event",)
    search_help_text = _("The id of an event or of a delivery, or the number of a listener.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        """Leave the answers out; the page of one attempt reads its own."""
        return super().get_queryset(request).defer("answer")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Attempt], search_term: str
    ) -> tuple[QuerySet[Attempt], bool]:
        """Find attempts by what has an index."""
        if not search_term:
            return queryset, False
        if search_term.isascii() and search_term.isdigit() and len(search_term) <= 18:
            return queryset.filter(listener_id=int(search_term)), False
        found = _uuid(search_term)
        wanted = queryset.filter(Q(event=found) | Q(delivery=found)) if found else queryset.none()
        return wanted, False

    @admin.display(description=_("answer"))
    def answer_text(self, attempt: Attempt) -> str:
        """Return the answer, as text for the template to escape."""
        return as_text(attempt.answer)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None

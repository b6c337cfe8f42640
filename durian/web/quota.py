"""How many listeners a user may have, and make within an hour."""

from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from durian.conf import config
from durian.models import DeletedListener, Listener

HOUR = timedelta(hours=1)


def refusal(user: Any) -> str | None:
    """Return why `user` may not make another listener now and what to do; None if they may.

    For a caller that has locked the user's row, so that requests at once do not pass together.
    """
    most = config().listeners_per_user
    if Listener.objects.filter(user=user).count() >= most:
        text = _("You have %(most)d listeners, as many as this site allows. Delete one first.")
        return text % {"most": most}
    now = timezone.now()
    made, at_once = made_since(user, now - HOUR), config().listeners_per_hour
    if len(made) < at_once:
        return None
    minutes = ceil((made[-at_once] + HOUR - now) / timedelta(minutes=1))
    text = ngettext(
        "You have made %(most)d listeners within an hour, as many as this site allows; those "
        "that were deleted count too. Try again in %(minutes)d minute.",
        "You have made %(most)d listeners within an hour, as many as this site allows; those "
        "that were deleted count too. Try again in %(minutes)d minutes.",
        minutes,
    )
    return text % {"most": at_once, "minutes": minutes}


def made_since(user: Any, since: datetime) -> list[datetime]:
    """Return when `user` made listeners since then, deleted ones included, in order."""
    # In this order: one that is deleted meanwhile is counted twice and not missed.
    kept = Listener.objects.filter(user=user, created_at__gt=since)
    deleted = DeletedListener.objects.filter(owner=str(user.pk), created_at__gt=since)
    times = [*kept.values_list("created_at", flat=True)]
    times += [at for at in deleted.values_list("created_at", flat=True) if at]
    return sorted(times)

"""Which secrets may be shown: each once, to who has just made it."""

from django.http import HttpRequest

from durian.models import Listener

SESSION_KEY = "durian.unseen_secrets"
"""In the session is only whose secret is to be shown, not the secret."""
MOST = 100
"""Secrets that wait to be shown: who makes listeners and looks at none of them fills no session."""


def show_once(request: HttpRequest, listener: Listener) -> None:
    """Let `request`'s user see the newest secret of `listener`, once."""
    unseen = [pk for pk in request.session.get(SESSION_KEY, []) if pk != listener.pk]
    request.session[SESSION_KEY] = [*unseen, listener.pk][-MOST:]


def take(request: HttpRequest, listener: Listener) -> str | None:
    """Return the secret if it is still to be shown; from now on it is not."""
    unseen = request.session.get(SESSION_KEY, [])
    if listener.pk not in unseen:
        return None
    request.session[SESSION_KEY] = [pk for pk in unseen if pk != listener.pk]
    return listener.signing_secrets()[0]

"""Which secrets may be shown: each once, to who has just made it."""

import hashlib

from django.http import HttpRequest

from durian.models import Listener

SESSION_KEY = "durian.unseen_secrets"
"""In the session is whose secret is to be shown and which, by its hash; not the secret."""
MOST = 100
"""Secrets that wait to be shown: who makes listeners and looks at none of them fills no session."""


def show_once(request: HttpRequest, listener: Listener) -> None:
    """Let `request`'s user see the newest secret of `listener`, once."""
    newest = [listener.pk, _hash(listener.signing_secrets()[0])]
    request.session[SESSION_KEY] = [*_of_others(request, listener), newest][-MOST:]


def take(request: HttpRequest, listener: Listener) -> str | None:
    """Return the secret if it is still to be shown; from now on it is not."""
    unseen, others = request.session.get(SESSION_KEY, []), _of_others(request, listener)
    if len(unseen) == len(others):
        return None
    newest = listener.signing_secrets()[0]
    if [listener.pk, _hash(newest)] not in unseen:
        return None  # Somebody else has made another one since.
    request.session[SESSION_KEY] = others
    return newest


def _of_others(request: HttpRequest, listener: Listener) -> list[list[int | str]]:
    return [one for one in request.session.get(SESSION_KEY, []) if one[0] != listener.pk]


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()

"""Receivers that want no more events: who answers 410 is disabled, with notice."""

import logging
from collections.abc import Sequence

from deliverer.handler import GONE
from durian.models import Attempt, Listener
from durian.signals import listener_disabled

logger = logging.getLogger("durian.deliverer")

REASON = "The receiver answered 410 Gone: it wants no more events."


def disable_gone(attempts: Sequence[Attempt]) -> None:
    """Disable the listeners among `attempts` that answered 410, and send `listener_disabled`."""
    gone = {attempt.listener_id for attempt in attempts if attempt.status == GONE}
    for listener in Listener.objects.filter(pk__in=gone, state=Listener.State.ACTIVE):
        listener.set_state(Listener.State.DISABLED, REASON)
        logger.warning("Listener %d (%s) is disabled. %s", listener.pk, listener.url, REASON)
        # Django logs what a site's receiver raises; the deliveries go on.
        listener_disabled.send_robust(sender=Listener, listener=listener, reason=REASON)

"""What can happen in the shop."""

import os
from collections.abc import Mapping
from typing import Any

from django.db.models import signals
from django.dispatch import receiver

from durian.event import Hook, ModelHook
from durian.models import Listener
from durian.policy import RetryPolicy
from durian.registry import hooks
from durian.signals import listener_disabled
from tests.acceptance.site.models import Order

# One failure in ten, nine times in a row, happens once in a thousand million.
PATIENT = RetryPolicy.schedule([0.25, 0.25, 0.5, 0.5, 1, 1, 2, 2])


class OrderPlaced(ModelHook):
    """An order was saved."""

    name = "order.placed"
    model = Order
    signal = signals.post_save
    provides_args = ("number", "customer", "country", "total")
    policy = PATIENT


class WhoMatches(Hook):
    """Something that a listener hears of when the matcher with the `pid` of its filter does."""

    name = "who.matches"

    def event_filter(
        self, sender: Any, payload: Mapping[str, Any], match_dict: Mapping[str, Any] | None
    ) -> bool:
        """Say whether this process is the one that the listener asks for."""
        return (match_dict or {}).get("pid") == os.getpid()


hooks.register(OrderPlaced)
hooks.register(WhoMatches)


@receiver(listener_disabled)
def tell_the_owner(listener: Listener, reason: str, **_: Any) -> None:
    """Stand in for the mail that a site would send."""
    print(f"The owner of listener {listener.pk} is told: {reason}")

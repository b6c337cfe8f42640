"""What can happen in the shop."""

from django.db.models import signals

from durian.event import ModelHook
from durian.policy import RetryPolicy
from durian.registry import hooks
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


hooks.register(OrderPlaced)

"""What can happen in the demo's shop; durian finds the `hooks` module of every app."""

from django.db.models import signals

from durian.demo.models import Order, Person
from durian.event import Hook, ModelHook
from durian.policy import RetryPolicy
from durian.registry import hooks

# Short, so that a visitor sees retries and dead letters before they lose interest.
QUICK = RetryPolicy.schedule([0.5, 1, 2])


class PersonSaved(ModelHook):
    """A customer is new or has changed. The field `secret` is not sent."""

    name = "person.saved"
    verbose_name = "A person is new or has changed"
    model = Person
    signal = signals.post_save
    provides_args = ("name", "address")
    policy = QUICK


class OrderSaved(ModelHook):
    """An order is new or has changed."""

    name = "order.saved"
    verbose_name = "An order is new or has changed"
    model = Order
    signal = signals.post_save
    provides_args = ("person", "item", "total")
    policy = QUICK


hooks.register(PersonSaved)
hooks.register(OrderSaved)
order_paid = hooks.register(
    Hook(
        name="order.paid",
        verbose_name="An order was paid",
        provides_args=("order", "total"),
        policy=QUICK,
    )
)

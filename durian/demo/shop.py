"""What happens in the demo's shop, and who listens; and who should have received what."""

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction

from durian.demo.hooks import order_paid
from durian.demo.inbox import BROKEN
from durian.demo.models import Order, Person
from durian.match import Startswith, to_json
from durian.models import Event, Listener
from durian.signals import events_recorded

LOGIN = PASSWORD = "demo"  # noqa: S105  (on loopback, and printed on the screen)
NAMES = ("Joe", "Jane", "Jerry", "Elaine", "George", "Newman", "Kosmo", "Susan")
ITEMS = ("a bowl of soup", "a marble rye", "a puffy shirt", "a fusilli")


@dataclass(frozen=True)
class Subscription:
    """A listener of the demo; `wants` says in plain Python what its filter says."""

    name: str
    hook: str
    match: dict[str, Any]
    wants: Callable[[Event], bool]


SUBSCRIPTIONS = (
    Subscription("everything", "#", {}, lambda event: True),
    Subscription(
        "names-with-j",
        "person.saved",
        {"name": Startswith("J")},
        lambda event: event.hook == "person.saved" and event.payload["name"][0] == "J",
    ),
    Subscription(
        "large-orders",
        "order.*",
        {"total": {"$gte": 100}},
        lambda event: event.hook.startswith("order.") and event.payload["total"] >= 100,
    ),
    Subscription(BROKEN, "order.paid", {}, lambda event: event.hook == "order.paid"),
)


def subscribe(address: str) -> dict[int, Subscription]:
    """Make the demo's user and listeners, whose receivers are at `address`; return them by id."""
    users = get_user_model().objects
    user = users.filter(username=LOGIN).first() or users.create_superuser(LOGIN, password=PASSWORD)
    made = {}
    for subscription in SUBSCRIPTIONS:
        listener, _ = Listener.objects.update_or_create(
            user=user,
            description=f"Demo: {subscription.name}",
            defaults={
                "hook": subscription.hook,
                "url": f"{address}/inbox/{subscription.name}/",
                "match": to_json(subscription.match),
            },
        )
        made[listener.pk] = subscription
    return made


def happenings() -> Iterator[Event]:
    """Let one thing after the other happen in the shop, and give the event of each.

    Now and then something else happens as well and is rolled back: nobody may hear of it.
    """
    chance = random.Random()  # noqa: S311  (a demo's customers need no cryptography)
    for number in itertools.count():
        with _recorded() as events, transaction.atomic():
            _happen(number, chance)
        yield from events
        if number % 10 == 0:
            _roll_back()


@contextmanager
def _recorded() -> Iterator[list[Event]]:
    recorded: list[Event] = []

    def keep(events: list[Event], **_: Any) -> None:
        recorded.extend(events)

    events_recorded.connect(keep, weak=False)
    yield recorded
    events_recorded.disconnect(keep)


def expected(events: list[Event], subscriptions: dict[int, Subscription]) -> set[tuple[str, int]]:
    """Return the (event, listener) to be received or dead, without asking durian's matcher."""
    return {
        (str(event.id), listener)
        for event in events
        for listener, subscription in subscriptions.items()
        if subscription.wants(event)
    }


def _happen(number: int, chance: random.Random) -> None:
    if number % 5 < 2 or not Person.objects.exists():
        Person.objects.create(name=chance.choice(NAMES), address="New York City", secret="hush")  # noqa: S106
    elif number % 5 < 4:
        person = Person.objects.latest("pk")
        item = chance.choice(ITEMS)
        Order.objects.create(person=person, item=item, total=chance.randrange(10, 200))
    else:
        order_paid.send(sender=None, order=number, total=chance.randrange(10, 200))


def _roll_back() -> None:
    with transaction.atomic():
        Person.objects.create(name="Jnobody", address="Nowhere")
        transaction.set_rollback(True)

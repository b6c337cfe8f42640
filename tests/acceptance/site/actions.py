"""What the tests ask the web process to do: JSON in, JSON out, each by a POST to its name."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.http import HttpRequest, JsonResponse

from durian.event import IntermediateListener
from durian.models import Attempt, Listener
from durian.registry import hooks
from tests.acceptance.site.models import Order

Orders = list[dict[str, Any]]


def place(orders: Orders) -> None:
    """Save each of `orders` in a transaction of its own."""
    for order in orders:
        with transaction.atomic():
            Order.objects.create(**order)


def place_and_roll_back(orders: Orders) -> None:
    """Save each of `orders` in a transaction of its own that does not end well."""
    for order in orders:
        with transaction.atomic():
            Order.objects.create(**order)
            transaction.set_rollback(True)


def ask_who_matches(times: int) -> None:
    """Raise `times` events of the hook who.matches."""
    hooks["who.matches"].send_many([{}] * times)


def subscribe(hook: str = "order.placed", **fields: Any) -> dict[str, Any]:
    """Make a listener; return its id and its secret."""
    listener = IntermediateListener(hooks[hook], **fields).save()
    return {"id": listener.pk, "secret": listener.signing_secrets()[0]}


def subscribe_and_place(order: dict[str, Any], **fields: Any) -> None:
    """Make a listener and, at once, an order."""
    subscribe(**fields)
    place([order])


def change(listener: int, **fields: Any) -> None:
    """Change a listener's `fields`."""
    row = Listener.objects.get(pk=listener)
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()


def rotate(listener: int) -> str:
    """Give a listener a new secret beside the one that it has, and return the new one."""
    return Listener.objects.get(pk=listener).rotate_secret()


def delete(listener: int) -> None:
    """Delete a listener, if it is still there."""
    Listener.objects.filter(pk=listener).delete()


def look(listener: int) -> dict[str, Any]:
    """Return the state of a listener and why it has it."""
    row = Listener.objects.get(pk=listener)
    return {"state": row.state, "reason": row.state_reason}


def attempts(listener: int) -> list[dict[str, Any]]:
    """Return what the log says of a listener, the oldest first."""
    rows = Attempt.objects.filter(listener_id=listener).order_by("pk")
    return [
        {"event": str(row.event), "number": row.number, "outcome": row.outcome, "error": row.error}
        for row in rows
    ]


ACTIONS: Mapping[str, Callable[..., Any]] = {
    action.__name__: action
    for action in (
        place,
        place_and_roll_back,
        ask_who_matches,
        subscribe,
        subscribe_and_place,
        change,
        rotate,
        delete,
        look,
        attempts,
    )
}


def act(request: HttpRequest, name: str) -> JsonResponse:
    """Do what the request asks for."""
    return JsonResponse({"result": ACTIONS[name](**json.loads(request.body))})

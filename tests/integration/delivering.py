"""The deliverer's role on a broker in memory, for the tests of deliveries."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.test import override_settings

from durian import roles
from durian.ids import delivery_id
from durian.models import Attempt, Listener
from durian.wire.broker import Broker, Incoming
from durian.wire.dead import Autopsy
from durian.wire.deadletters import Leave, Letter, Walk, revived
from durian.wire.messages import DeliveryMessage, encode
from durian.wire.topology import LADDER
from tests.integration.wire.harness import put, take
from tests.servers.free import wait_until

PATIENCE = 15.0
BODY = '{"b": 1,  "a": "Zoë \\u00eb"}'
"""With spaces and an order of keys that no encoder would write again."""


class Deliveries:
    """Deliveries on their way to a deliverer, and what became of them."""

    def __init__(self) -> None:
        self.broker: Broker = roles.broker()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run a deliverer during the block."""
        role = roles.DelivererRole()
        thread = roles.start_thread(role.run, "deliverer")
        try:
            yield
        finally:
            role.stop(within=5.0)
            thread.join(10.0)

    def send(self, listener: Listener, body: str = BODY, **fields: Any) -> DeliveryMessage:
        """Put a delivery to `listener` into the deliverers' queue, as a matcher does."""
        message = self.message(listener, body, **fields)
        self.send_again(message)
        return message

    def message(self, listener: Listener, body: str = BODY, **fields: Any) -> DeliveryMessage:
        """Return a delivery to `listener`."""
        event = str(uuid.uuid4())
        return DeliveryMessage(
            id=delivery_id(event, listener.pk),
            event=event,
            hook=listener.hook,
            listener=listener.pk,
            body=body,
            created=0.0,
            **fields,
        )

    def send_again(self, message: DeliveryMessage) -> None:
        """Put `message` into the deliverers' queue."""
        put(self.broker, self.broker.topology.deliver, [encode(message)])

    def take_and_drop(self) -> Incoming:
        """Take the delivery that waits and go down with it: it is given out again."""
        (incoming,) = take(self.broker, self.broker.topology.deliver, 1, ack=False)
        return incoming

    def waiting(self) -> int:
        """Return how many messages wait anywhere but among the dead letters."""
        states = self.broker.states()
        return sum(one.messages for one in states if one.name != self.broker.topology.dead)

    def parked(self) -> int:
        """Return how many messages rest in the queues of delays."""
        delays = {self.broker.topology.delay(step) for step in LADDER}
        return sum(one.messages for one in self.broker.states() if one.name in delays)

    def autopsies(self) -> list[Autopsy]:
        """Return what the dead letters say."""
        found: list[Autopsy] = []

        def look(letter: Letter) -> Leave:
            found.append(letter.autopsy)
            return Leave.IN_PLACE

        Walk(self.broker, look).run()
        return found

    def replay(self) -> None:
        """Give every dead letter another chance."""
        Walk(self.broker, lambda letter: revived(self.broker.topology, letter)).run()


@contextmanager
def deliveries(**durian: Any) -> Iterator[Deliveries]:
    """Give a broker of the block's own, with other settings of durian where given."""
    own = {"BROKER_URL": "memory://", "NAME_PREFIX": f"{uuid.uuid4().hex}."}
    with override_settings(DURIAN=settings.DURIAN | own | durian):
        yield Deliveries()


def listener(url: str, hook: str = "order.paid", **config: Any) -> Listener:
    """Save a listener, whatever its URL is."""
    return Listener.objects.create(hook=hook, url=url, config=config)


def outcomes(listener: Listener) -> list[str]:
    """Return how the listener's attempts ended, in their order."""
    rows = Attempt.objects.filter(listener_id=listener.pk).order_by("started_at", "pk")
    return [row.outcome for row in rows]


def wait_for_outcomes(listener: Listener, expected: list[str]) -> None:
    """Return once the log has `expected` of the listener."""
    try:
        wait_until(lambda: len(outcomes(listener)) >= len(expected), PATIENCE, "the attempts", 0.05)
    finally:
        assert outcomes(listener) == expected, json.dumps(
            list(Attempt.objects.filter(listener_id=listener.pk).values_list("error", flat=True))
        )

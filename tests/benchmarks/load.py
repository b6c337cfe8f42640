"""What the figures begin with: listeners, a full outbox, a full queue of deliveries."""

import json
import time
import uuid
from collections.abc import Callable

from durian import ids, roles
from durian.models import Listener
from durian.wire.broker import Outgoing
from durian.wire.messages import DeliveryMessage, EventMessage, encode
from durian.wire.publishing import publish_all
from tests.acceptance.shop import order
from tests.benchmarks.stage import Stage

HOOK = "order.placed"
COLUMNS = "id, hook, body, envelope, archive, created_at, error"

UrlOf = Callable[[str], str]
"""From a path to its address at some receiver."""


def body(number: int, padding: int = 0) -> str:
    """Return what the shop sends for an order; `padding` characters more of a customer's name."""
    return json.dumps(order(number, customer="Joe" + "x" * padding))


def listeners(count: int, url: UrlOf) -> list[int]:
    """Make so many listeners to everything, each at a path of its own, and return their ids."""
    made = [Listener(hook=HOOK, url=url(f"/{number}")) for number in range(count)]
    return [listener.pk for listener in Listener.objects.bulk_create(made)]


def outbox(stage: Stage, count: int, padding: int = 0) -> float:
    """Put so many events into the outbox by one transaction; return when that was committed."""
    now = time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime())
    text = f"COPY durian_event ({COLUMNS}) FROM STDIN"
    with stage.connect() as connection, connection.transaction():
        cursor = connection.cursor()
        with cursor.copy(text) as copy:
            for number in range(count):
                event = ids.new_event_id()
                copy.write_row((event, HOOK, body(number, padding), "plain", True, now, ""))
        # PostgreSQL does so by itself within a minute. Of a table of which it knows nothing it
        # would sort the whole outbox for each batch.
        cursor.execute("ANALYZE durian_event")
    return time.time()


def deliveries(count: int, to: list[int], attempt: int = 1) -> None:
    """Put so many deliveries into the deliverers' queue, to each of the listeners in turn."""
    broker = roles.broker()
    contents = (delivery(to[number % len(to)], number, attempt) for number in range(count))
    publisher = broker.publisher()
    publish_all(publisher, (Outgoing("", broker.topology.deliver, one) for one in contents))
    publisher.close()


def delivery(listener: int, number: int = 1, attempt: int = 1) -> bytes:
    """Return a delivery as it travels to the deliverers."""
    return encode(
        DeliveryMessage(
            id=str(uuid.uuid4()),
            event=str(uuid.uuid4()),
            hook=HOOK,
            listener=listener,
            body=body(number),
            created=time.time(),
            attempt=attempt,
        )
    )


def event_message() -> bytes:
    """Return an event as it travels to the matchers."""
    return encode(
        EventMessage(
            id=str(ids.new_event_id()),
            hook=HOOK,
            body=body(1),
            envelope="plain",
            created=time.time(),
            listeners=1,
        )
    )

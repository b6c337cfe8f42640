"""What the parts can do at most, with as little as possible around them."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import amqp

from tests.benchmarks import http_engine
from tests.benchmarks.load import body, event_message
from tests.benchmarks.rows import Row, Values
from tests.benchmarks.stage import Stage

MESSAGES = 40_000
IN_FLIGHT = 1000
POSTS = 30_000
ROWS = 20_000
COMMITS = 2_000
QUEUE = "limits"
INSERT = (
    "INSERT INTO limits (id, hook, body, envelope, created_at, done)"
    " VALUES (gen_random_uuid(), 'order.placed', %s, 'plain', now(), true)"
)


def measure(stage: Stage) -> Iterator[Row]:
    """Yield the limits that goals are set beside."""
    with stage.channel() as channel:
        yield _publish(channel)
        channel.queue_delete(QUEUE)


def measure_more(stage: Stage, _done: Values) -> Iterator[Row]:
    """Yield the limits of the consumer, the receiver and the database."""
    with stage.channel() as channel:
        _publish(channel)
        began = time.monotonic()
        _consume(channel, MESSAGES)
        what = "py-amqp: consume and ack one by one"
        yield Row("limits.consume", what, _rate(MESSAGES, began), "/s")
        channel.queue_delete(QUEUE)
    yield _post(stage)
    yield from _database(stage)


def _post(stage: Stage) -> Row:
    arrivals = stage.arrivals()
    load = http_engine.Load(http_engine.signed_request(stage.nginx.url()), POSTS, 256, 1)
    began = time.monotonic()
    posts = http_engine.by_libcurl(load)
    rate = _rate(posts, began)
    assert arrivals.wait_for(posts, seconds=1) == posts, "POSTs have not arrived"
    return Row("limits.post", "libcurl: POSTs to the receiver", rate, "/s")


def _publish(channel: Any) -> Row:
    arguments = {"x-queue-type": "quorum"}
    channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=arguments)
    began = time.monotonic()
    publish(channel, QUEUE, MESSAGES, [event_message()])
    what = "py-amqp: publish, pipelined confirms, quorum queue"
    return Row("limits.publish", what, _rate(MESSAGES, began), "/s")


def publish(channel: Any, queue: str, count: int, contents: Sequence[bytes]) -> None:
    """Publish so many messages, `contents` in turn, with up to IN_FLIGHT of them unconfirmed."""
    confirmed = 0

    def on_ack(tag: int, multiple: bool) -> None:
        nonlocal confirmed
        confirmed = tag if multiple else confirmed + 1

    channel.confirm_select()
    channel.events["basic_ack"].add(on_ack)
    for number in range(count):
        while number - confirmed >= IN_FLIGHT:
            channel.connection.drain_events(timeout=10)
        message = amqp.Message(contents[number % len(contents)], delivery_mode=2)
        channel.basic_publish(message, "", queue, mandatory=True)
    while confirmed < count:
        channel.connection.drain_events(timeout=10)


def _consume(channel: Any, count: int) -> None:
    left = count

    def on_message(message: Any) -> None:
        nonlocal left
        left -= 1
        channel.basic_ack(message.delivery_tag)

    channel.basic_qos(0, 500, a_global=False)
    consumer = channel.basic_consume(QUEUE, callback=on_message)
    while left:
        channel.connection.drain_events(timeout=10)
    channel.basic_cancel(consumer)


def _database(stage: Stage) -> Iterator[Row]:
    with stage.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE limits (LIKE durian_event INCLUDING ALL)")
        cursor.execute("ALTER TABLE limits RENAME COLUMN archive TO done")
        cursor.execute("ALTER TABLE limits ALTER COLUMN error SET DEFAULT ''")
        value = [body(1)]

        def commits() -> int:
            for _ in range(COMMITS):
                cursor.execute(INSERT, value)
            return COMMITS

        def many() -> int:
            with connection.transaction():
                cursor.executemany(INSERT, [value] * ROWS)
            return ROWS

        yield _timed("limits.commits", "psycopg: INSERT, a commit each", commits)
        yield _timed("limits.executemany", "psycopg: executemany, one commit", many)
        cursor.execute("DROP TABLE limits")


def _timed(key: str, what: str, work: Callable[[], int]) -> Row:
    began = time.monotonic()
    return Row(key, what, _rate(work(), began), "/s")


def _rate(count: int, began: float) -> float:
    return count / (time.monotonic() - began)

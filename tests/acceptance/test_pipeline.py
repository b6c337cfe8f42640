"""The whole of it: a site, its relay, two matchers, two deliverers, and a receiver that fails."""

import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from standardwebhooks import Webhook

from tests.acceptance.shop import Shop, order
from tests.servers.free import wait_until
from tests.servers.receiver import Answer, Received, Receiver

EVENTS = 10_000
AT_ONCE = 500
FAILING = 0.1
NODE_MODULES = Path(sys.prefix) / "node" / "node_modules"
VERIFY = Path(__file__).with_name("verify.js")

Order = Mapping[str, Any]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Subscription:
    """A filter, and the same in plain Python, to say what is expected without durian."""

    name: str
    match: Mapping[str, Any]
    wants: Callable[[Order], bool]


SUBSCRIPTIONS = (
    Subscription(
        "large-german",
        {"country": "DE", "total": {"$gte": 150}},
        lambda one: one["country"] == "DE" and one["total"] >= 150,
    ),
    Subscription(
        "j-or-cheap",
        {"$or": [{"customer": {"$startsWith": "J"}}, {"total": {"$lt": 20}}]},
        lambda one: one["customer"][0] == "J" or one["total"] < 20,
    ),
    Subscription(
        "anne-abroad",
        {"customer": {"$regex": "^[Aa]n+e$"}, "country": {"$nin": ["DE", "AT"]}},
        lambda one: one["customer"].lower() in ("ane", "anne") and one["country"] in ("FR", "NL"),
    ),
)


@dataclass
class Flaky:
    """Answers 503 to one request in ten and remembers whose it accepted."""

    chance: random.Random
    accepted: set[Pair] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Received) -> Answer:
        """Return the answer to `request`."""
        with self.lock:
            if self.chance.random() < FAILING:
                return Answer(503)
            self.accepted.add(pair(request))
            return Answer(204)


@dataclass(frozen=True)
class Run:
    """What was sent in, and what came out."""

    expected: set[Pair]
    rolled_back: set[int]
    accepted: set[Pair]
    requests: Sequence[Received]
    secrets: Mapping[str, str]
    """Each listener's, by its id."""


def pair(request: Received) -> Pair:
    return request.headers["webhook-id"], request.headers["durian-listener"]


def orders(count: int, first: int = 0) -> list[dict[str, Any]]:
    chance = random.Random(first + 2009)
    return [
        order(
            number,
            customer=chance.choice(["Joe", "Jane", "Anne", "anne", "Ane", "Bob", "Zoë"]),
            country=chance.choice(["DE", "AT", "FR", "NL"]),
            total=chance.randrange(200),
        )
        for number in range(first, first + count)
    ]


@pytest.fixture(scope="module")
def run(shop: Shop) -> Iterator[Run]:
    """Place the orders in two web processes, some of them in vain, while all roles run."""
    receiver = Receiver()
    try:
        yield _run(shop, receiver)
    finally:
        receiver.close()


def _run(shop: Shop, receiver: Receiver) -> Run:
    flaky = Flaky(random.Random(19))
    listeners = {}
    for one in SUBSCRIPTIONS:
        path = f"/{one.name}"
        receiver.answer(path, flaky)
        listeners[one.name] = shop.do("subscribe", url=receiver.url(path), match=one.match)
    placed, in_vain = orders(EVENTS), orders(EVENTS // 20, first=EVENTS)
    with ExitStack() as stack:
        for role in ("matcher", "matcher", "deliverer", "deliverer"):
            stack.enter_context(shop.running(role))
        with ThreadPoolExecutor(3) as pool:
            for start in range(0, EVENTS, AT_ONCE):
                pool.submit(shop.do, "place", orders=placed[start : start + AT_ONCE])
            pool.submit(shop.do, "place_and_roll_back", orders=in_vain)
        events = _events(shop)
        assert set(events) == {one["number"] for one in placed}
        expected = {
            (events[one["number"]], str(listeners[subscription.name]["id"]))
            for one in placed
            for subscription in SUBSCRIPTIONS
            if subscription.wants(one)
        }
        wait_until(lambda: expected <= flaky.accepted, 120, "everything has been received")
        wait_until(lambda: _is_idle(shop), 30, "nothing is on its way any more")
    return Run(
        expected,
        {one["number"] for one in in_vain},
        flaky.accepted,
        receiver.requests,
        {str(each["id"]): each["secret"] for each in listeners.values()},
    )


def _events(shop: Shop) -> dict[int, str]:
    """Return the ids of the events by their orders' numbers, straight from the database."""
    place = shop.database
    with psycopg.connect(
        host=place["HOST"], port=place["PORT"], user=place["USER"], dbname=place["NAME"]
    ) as connection:
        rows = connection.execute("SELECT body, id FROM durian_event").fetchall()
    return {json.loads(body)["number"]: str(event) for body, event in rows}


def _is_idle(shop: Shop) -> bool:
    status = json.loads(shop.run("status", "--json").stdout)
    waiting = sum(queue["messages"] for queue in status["queues"])
    return not waiting and not status["outbox"]["default"]["waiting"]


def test_every_listener_received_what_its_filter_asks_for_and_nothing_else(run: Run) -> None:
    assert len(run.expected) > EVENTS // 2
    assert run.accepted == run.expected
    assert {pair(request) for request in run.requests} == run.expected


def test_what_failed_was_tried_again(run: Run) -> None:
    failed = len(run.requests) - len(run.accepted)
    assert failed > len(run.expected) * FAILING / 2


def test_nothing_was_sent_of_what_was_rolled_back(run: Run) -> None:
    received = {json.loads(request.body)["number"] for request in run.requests}
    assert not received & run.rolled_back


def test_the_python_package_standardwebhooks_verifies_all_that_was_received(run: Run) -> None:
    webhooks = {listener: Webhook(secret) for listener, secret in run.secrets.items()}
    for request in run.requests:
        payload = webhooks[request.headers["durian-listener"]].verify(
            request.body.decode(), dict(request.headers)
        )
        assert payload == json.loads(request.body)


def test_the_npm_package_standardwebhooks_verifies_all_that_was_received(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "received.json"
    received = [
        {
            "secret": run.secrets[request.headers["durian-listener"]],
            "headers": dict(request.headers),
            "body": request.body.decode(),
        }
        for request in run.requests
    ]
    file.write_text(json.dumps(received))
    package = NODE_MODULES / "standardwebhooks"
    assert package.is_dir(), f"{package} is missing: `make test` installs it"
    done = subprocess.run(
        ["node", VERIFY, package, file], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, f"{len(received)} verified\n"), done.stderr

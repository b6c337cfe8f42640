"""Receivers that are broken or mean harm, through a whole deliverer: one row for each.

A deliverer calls them all at once, twice: by a listener whose policy says to try again, and by one
whose policy says not to. The tests look at what the log, the broker and the dead letters say then.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial

import pytest
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from deliverer.answer import MAX_ANSWER
from durian import roles
from durian.models import Attempt, Listener
from durian.policy import MAX_RETRY_AFTER
from durian.simulator import MODES, TLS_MODES, Behaviour, Seen, Simulator
from durian.simulator.modes import NEVER_ACCEPTS
from durian.wire.dead import Autopsy
from durian.wire.messages import DeliveryMessage, decode
from durian.wire.topology import LADDER
from tests.integration.delivering import Deliveries, deliveries, listener
from tests.integration.wire.harness import take, waiting
from tests.servers.free import wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ

DEADLINE = 1.5
SLACK = 1.0
POLICY_DELAY = 60.0
GOOD = 20


@dataclass(frozen=True)
class Row:
    """How an attempt ends: its outcome, the status of the answer, and a part of the error."""

    outcome: str
    status: int | None
    cause: str


ROWS = {
    "never-accepts": Row("retry", None, "DeadlineExceeded: No complete answer within 1.5 s: Conn"),
    "never-answers": Row("retry", None, "DeadlineExceeded: No complete answer within 1.5 s: Oper"),
    "slow-headers": Row("retry", None, "DeadlineExceeded: No complete answer within 1.5 s: Oper"),
    "slow-body": Row("retry", None, "out of 1000000 bytes received"),
    "huge-body": Row("delivered", 200, ""),
    "gzip-bomb": Row("delivered", 200, ""),
    "huge-headers": Row("delivered", 200, ""),
    "endless-headers": Row("retry", None, "Too large response headers"),
    "endless-1xx": Row("retry", None, "HTTP/1.1 103 Early Hints"),
    "not-http": Row("retry", None, "HTTP/0.9"),
    "bad-chunks": Row("retry", None, "chunk"),
    "redirect-loop": Row("retry", 302, "The receiver answered 302 Found."),
    "redirect-private": Row("retry", 302, "The receiver answered 302 Found."),
    "redirect-with-body": Row("retry", 307, "The receiver answered 307 Temporary Redirect."),
    "reset": Row("retry", None, "reset"),
    "http10": Row("delivered", 200, ""),
    "tls-expired": Row("retry", None, "certificate has expired"),
    "tls-self-signed": Row("retry", None, "self-signed certificate"),
    "tls-wrong-host": Row("retry", None, "127.0.0.1"),
}

RETRY_AFTER = {
    "0": POLICY_DELAY,
    "a-date": 3600.0,
    "a-date-gone-by": POLICY_DELAY,
    "negative": POLICY_DELAY,
    "10-years": MAX_RETRY_AFTER,
    "garbage": POLICY_DELAY,
}
"""The seconds until the next attempt, by the `Retry-After` of the answer."""


@dataclass
class Happened:
    """What became of the deliveries, by the receiver's name."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    finals: dict[str, Attempt] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    letters: dict[str, Autopsy] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    good: int = 0


class Stage:
    """The receivers, two listeners for each, and a good one at the end of the queue."""

    def __init__(self, simulators: Mapping[str, Simulator], good: Simulator) -> None:
        again = {"schedule": [POLICY_DELAY], "jitter": 0}
        self.again = {
            name: listener(each.url(), timeout=DEADLINE, retry=again)
            for name, each in simulators.items()
        }
        self.once = {
            name: listener(each.url(), timeout=DEADLINE, retry=False)
            for name, each in simulators.items()
        }
        self.good = listener(good.url())

    def play(self, sent: Deliveries) -> Happened:
        """Have a deliverer call them, and return what happened."""
        for one in (*self.again.values(), *self.once.values(), *[self.good] * GOOD):
            sent.send(one)
        count = len(self.again) + len(self.once) + GOOD
        with sent.running():
            wait_until(lambda: Attempt.objects.count() >= count, 30, "all attempts", 0.05)
            # Whatever is acked has been published before.
            wait_until(lambda: not waiting(sent.broker, sent.broker.topology.deliver), 10, "acks")
        return self._happened(sent)

    def _happened(self, sent: Deliveries) -> Happened:
        rows = {row.listener_id: row for row in Attempt.objects.all()}
        delays = _delays(sent)
        letters = {letter.listener: letter for letter in sent.autopsies()}
        return Happened(
            attempts={name: rows[one.pk] for name, one in self.again.items()},
            finals={name: rows[one.pk] for name, one in self.once.items()},
            delays={name: delays[one.pk] for name, one in self.again.items() if one.pk in delays},
            letters={name: letters[one.pk] for name, one in self.once.items() if one.pk in letters},
            good=Attempt.objects.filter(listener_id=self.good.pk, outcome="delivered").count(),
        )


def _delays(sent: Deliveries) -> dict[int, float]:
    """Return what each delivery waits for after its first attempt, by listener."""
    found: dict[int, float] = {}
    for step in LADDER:
        queue = sent.broker.topology.delay(step)
        for incoming in take(sent.broker, queue, waiting(sent.broker, queue)):
            message = decode(DeliveryMessage, incoming.body)
            assert message.attempt == 2
            found[message.listener] = message.delay
    return found


def _behaviours() -> dict[str, Behaviour]:
    values = {
        "0": "0",
        "a-date": formatdate(time.time() + 3600, usegmt=True),
        "a-date-gone-by": formatdate(0, usegmt=True),
        "negative": "-5",
        "10-years": str(10 * 365 * 24 * 3600),
        "garbage": "soon; ça va",
    }
    return {
        **{mode: Behaviour(mode=mode) for mode in (NEVER_ACCEPTS, *MODES, *TLS_MODES)},
        **{
            f"retry-after-{name}": Behaviour(statuses=[503], retry_after=value)
            for name, value in values.items()
        },
    }


@pytest.fixture(scope="module")
def happened(
    rabbitmq: PrivateRabbitMQ,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Happened]:
    """What became of all deliveries."""
    requests: dict[str, int] = {}
    prefix = f"hostile-{time.time_ns()}."
    bundle = tmp_path_factory.mktemp("hostile") / "authorities.pem"
    with django_db_blocker.unblock(), ExitStack() as stack:
        stack.callback(connections.close_all)
        stack.callback(rabbitmq.delete_queues, prefix)
        stack.callback(Listener.objects.all().delete)
        stack.callback(Attempt.objects.all().delete)
        simulators = {}
        for name, behaviour in _behaviours().items():
            count = partial(_count, requests, name)
            simulators[name] = stack.enter_context(Simulator(behaviour, count))
        authorities = [each.ca_bundle for each in simulators.values() if each.ca_bundle]
        bundle.write_bytes(b"".join(each.read_bytes() for each in authorities))
        sent = stack.enter_context(
            deliveries(
                BROKER_URL=rabbitmq.url,
                NAME_PREFIX=prefix,
                CA_BUNDLE=str(bundle),
                # As many as there are bad ones: the good ones come when those have let go.
                MAX_IN_FLIGHT=2 * len(simulators),
            )
        )
        roles.broker().declare(public=False)
        good = stack.enter_context(Simulator(Behaviour()))
        found = Stage(simulators, good).play(sent)
        found.requests = requests
        yield found


def _count(requests: dict[str, int], name: str, seen: Seen) -> None:
    requests[name] = requests.get(name, 0) + 1


def test_every_mode_of_the_simulator_has_its_row() -> None:
    assert set(ROWS) == {NEVER_ACCEPTS, *MODES, *TLS_MODES}


@pytest.mark.parametrize("name", ROWS)
def test_receiver(happened: Happened, name: str) -> None:
    row, attempt = ROWS[name], happened.attempts[name]
    assert (attempt.outcome, attempt.status) == (row.outcome, row.status), attempt.error
    assert row.cause in attempt.error
    assert attempt.duration_ms <= (DEADLINE + SLACK) * 1000
    assert len(attempt.answer) <= MAX_ANSWER
    # As the policy says: once more after a minute, or the end with a reason.
    final = happened.finals[name]
    if row.outcome == "delivered":
        assert (name in happened.delays, final.outcome) == (False, "delivered")
        assert name not in happened.letters
    else:
        assert (happened.delays[name], final.outcome) == (POLICY_DELAY, "dead")
        assert happened.letters[name].reason == "exhausted"
        assert row.cause in happened.letters[name].detail


@pytest.mark.parametrize("name", RETRY_AFTER)
def test_retry_after(happened: Happened, name: str) -> None:
    name, delay = f"retry-after-{name}", RETRY_AFTER[name]
    assert (happened.attempts[name].outcome, happened.attempts[name].status) == ("retry", 503)
    assert happened.delays[name] == pytest.approx(delay, abs=30)
    assert happened.finals[name].outcome == "dead"


@pytest.mark.parametrize("name", ["redirect-loop", "redirect-private", "redirect-with-body"])
def test_a_redirect_is_not_followed(happened: Happened, name: str) -> None:
    assert happened.requests[name] == 2  # one by each listener


@pytest.mark.parametrize("name", TLS_MODES)
def test_who_cannot_be_verified_gets_no_request(happened: Happened, name: str) -> None:
    assert name not in happened.requests


def test_a_gzip_bomb_stays_packed(happened: Happened) -> None:
    assert bytes(happened.attempts["gzip-bomb"].answer[:2]) == b"\x1f\x8b"


def test_the_worker_is_free_again(happened: Happened) -> None:
    assert happened.good == GOOD

"""A deliverer, from the queue to a real receiver and the log."""

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec
import pytest

from deliverer import breaker, handler, made
from deliverer.share import START
from durian.errors import Unavailable
from durian.hook import Hook
from durian.models import Attempt, Listener
from durian.policy import RetryPolicy
from durian.signing import verify
from durian.wire import pump
from durian.wire.broker import Outgoing
from durian.wire.delays import delayed
from durian.wire.messages import AttemptKey, DeliveryMessage, decode, encode
from tests.integration.delivering import (
    BODY,
    PATIENCE,
    Deliveries,
    deliveries,
    listener,
    outcomes,
    wait_for_outcomes,
)
from tests.integration.site import registered
from tests.integration.wire.harness import put
from tests.servers.free import wait_until
from tests.servers.receiver import Answer, Received, Receiver

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = {"schedule": [0.25, 0.25], "jitter": 0}


@pytest.fixture
def sent() -> Iterator[Deliveries]:
    """Deliveries with the default settings."""
    with deliveries() as one:
        yield one


class Crowd:
    """Counts how many requests are answered at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.most = self._now = 0
        self._lock = threading.Lock()

    def __call__(self, request: Received) -> Answer:
        """Take some seconds, and answer."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(self.seconds)
        with self._lock:
            self._now -= 1
        return Answer()


def ids(requests: Any) -> list[str]:
    return [request.headers["webhook-id"] for request in requests]


def test_what_a_receiver_gets(sent: Deliveries, receiver: Receiver) -> None:
    to = listener(receiver.url("/in?a=1"), headers={"X-Team": "blue"})
    message = sent.send(to)
    with sent.running():
        (request,) = receiver.wait_for(1)
        wait_for_outcomes(to, ["delivered"])
    assert (request.method, request.path, request.body) == ("POST", "/in?a=1", BODY.encode())
    headers = request.headers
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("durian/")
    assert headers["x-team"] == "blue"
    assert headers["webhook-id"] == message.event
    assert headers["durian-delivery"] == message.id
    assert headers["durian-hook"] == "order.paid"
    assert headers["durian-listener"] == str(to.pk)
    assert headers["durian-attempt"] == "1"
    verify(headers, request.body, to.signing_secrets())
    assert sent.waiting() == 0


def test_during_a_rotation_both_secrets_verify(sent: Deliveries, receiver: Receiver) -> None:
    to = listener(receiver.url())
    (old,) = to.signing_secrets()
    new = to.rotate_secret()
    sent.send(to)
    with sent.running():
        (request,) = receiver.wait_for(1)
    for secret in (old, new):
        verify(request.headers, request.body, [secret])


def test_the_same_bytes_and_id_on_every_attempt_and_replay_and_a_signature_of_its_own(
    sent: Deliveries, receiver: Receiver
) -> None:
    to = listener(receiver.url(), retry=QUICK)
    receiver.answer("/", Answer(500, body=b"sorry"))
    message = sent.send(to)
    with sent.running():
        wait_for_outcomes(to, ["retry", "retry", "dead"])
        wait_until(sent.autopsies, PATIENCE, "the dead letter")
        sent.replay()
        wait_for_outcomes(to, ["retry", "retry", "dead"] * 2)
    requests = receiver.requests
    assert {request.body for request in requests} == {BODY.encode()}
    assert set(ids(requests)) == {message.event}
    assert [one.headers["durian-attempt"] for one in requests] == ["1", "2", "3"] * 2
    for request in requests:
        verify(request.headers, request.body, to.signing_secrets())


def test_what_is_exhausted_is_a_dead_letter_that_says_why(
    sent: Deliveries, receiver: Receiver
) -> None:
    to = listener(receiver.url(), retry=QUICK)
    receiver.answer("/", Answer(503))
    began = time.time()
    message = sent.send(to)
    with sent.running():
        wait_for_outcomes(to, ["retry", "retry", "dead"])
        wait_until(lambda: sent.waiting() == 0, PATIENCE, "nothing is on its way")
    (autopsy,) = sent.autopsies()
    assert (autopsy.reason, autopsy.attempts, autopsy.last_status) == ("exhausted", 3, 503)
    assert (autopsy.event, autopsy.hook) == (message.event, "order.paid")
    assert autopsy.listener == to.pk
    assert "503 Service Unavailable" in autopsy.detail
    assert began <= autopsy.first_attempt <= autopsy.last_attempt - 0.4
    assert autopsy.last_attempt <= autopsy.died <= time.time()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://10.0.0.1/", "refused"),
        ("http://169.254.169.254/latest/", "refused"),
        ("ftp://example.com/", "invalid-listener"),
        ("http://", "invalid-listener"),
    ],
)
def test_what_must_not_be_called_is_dead_at_once(sent: Deliveries, url: str, reason: str) -> None:
    to = listener(url)
    sent.send(to)
    with sent.running():
        wait_for_outcomes(to, ["dead"])
        wait_until(sent.autopsies, PATIENCE, "the dead letter")
    (autopsy,) = sent.autopsies()
    assert (autopsy.reason, autopsy.attempts) == (reason, 1)
    assert autopsy.detail


def test_retry_after_is_honoured(sent: Deliveries, receiver: Receiver) -> None:
    to = listener(receiver.url(), retry=QUICK)
    receiver.answer("/", Answer(429, {"Retry-After": "2"}))
    sent.send(to)
    with sent.running():
        receiver.wait_for(1)
        receiver.answer("/", Answer())
        wait_for_outcomes(to, ["retry", "delivered"])
    first, second = receiver.requests
    assert second.at - first.at > 1.9


def test_the_hook_says_how_its_listeners_are_called(sent: Deliveries, receiver: Receiver) -> None:
    receiver.answer("/", Answer(delay=5))
    policy = RetryPolicy.schedule([0.25], jitter=0)
    with registered(Hook(name="impatient", timeout=0.2, policy=policy)):
        to = listener(receiver.url(), hook="impatient")
        sent.send(to)
        with sent.running():
            wait_for_outcomes(to, ["retry", "dead"])
    for attempt in Attempt.objects.filter(listener_id=to.pk):
        assert "DeadlineExceeded" in attempt.error
        assert 200 <= attempt.duration_ms < 2000


def test_the_listener_has_the_last_word(sent: Deliveries, receiver: Receiver) -> None:
    receiver.answer("/", Answer(delay=0.6))
    with registered(Hook(name="impatient", timeout=0.2, retry=False)):
        to = listener(receiver.url(), hook="impatient", timeout=10)
        sent.send(to)
        with sent.running():
            wait_for_outcomes(to, ["delivered"])


def test_what_is_over_the_cap_is_parked_and_delivered(receiver: Receiver) -> None:
    crowd = Crowd(seconds=0.1)
    receiver.answer("/", crowd)
    with deliveries(LISTENER_IN_FLIGHT=2) as sent:
        to = listener(receiver.url())
        messages = [sent.send(to) for _ in range(20)]
        with sent.running():
            wait_for_outcomes(to, ["delivered"] * 20)
            assert sent.waiting() == 0
    assert crowd.most == 2
    assert sorted(ids(receiver.requests)) == sorted(one.event for one in messages)


def test_a_rate_is_kept(sent: Deliveries, receiver: Receiver) -> None:
    to = listener(receiver.url(), rate=10)
    for _ in range(20):
        sent.send(to)
    with sent.running():
        wait_for_outcomes(to, ["delivered"] * 20)
    moments = [request.at for request in receiver.requests]
    assert moments[-1] - moments[0] > 1.5


def test_a_rate_is_kept_by_several_deliverers_together(
    sent: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "CENSUS_SECONDS", 0.05)
    to, warm_up = listener(receiver.url(), rate=10), listener(receiver.url("/first"))
    with sent.running(), sent.running():
        # Each pump turns once a second at least.
        sent.send(warm_up)
        wait_for_outcomes(warm_up, ["delivered"])
        time.sleep(2 * pump.TICK_SECONDS)
        for _ in range(20):
            sent.send(to)
        wait_for_outcomes(to, ["delivered"] * 20)
    moments = sorted(request.at for request in receiver.at("/"))
    assert moments[-1] - moments[0] > 1.5


def test_what_is_over_for_a_moment_only_does_not_go_back_to_the_broker(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer("/", Answer(delay=0.03))
    to, parked = listener(receiver.url()), []

    def count(*arguments: Any, **options: Any) -> Outgoing:
        parked.append(arguments)
        return delayed(*arguments, **options)

    monkeypatch.setattr(handler, "delayed", count)
    with deliveries(LISTENER_IN_FLIGHT=2) as sent, sent.running():
        for _ in range(START):
            sent.send(to)
            wait_until(lambda: sent.waiting() == 0, PATIENCE, "one after the other")
        wait_until(lambda: len(outcomes(to)) == START, PATIENCE, "it is known to answer")
        parked.clear()
        for _ in range(START):
            sent.send(to)
        wait_until(lambda: len(outcomes(to)) == 2 * START, PATIENCE, "all are delivered")
    assert parked == []


def test_what_waits_for_a_receiver_that_is_away_has_reserved_no_moment_of_its_rate(
    sent: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer("/", Answer(503))
    to, held = listener(receiver.url(), rate=50), []

    def look(*arguments: Any, **options: Any) -> Outgoing:
        message = delayed(*arguments, **options)
        delivery = decode(DeliveryMessage, message.body)
        if delivery.held_since:
            held.append(delivery)
        return message

    monkeypatch.setattr(handler, "delayed", look)
    with sent.running():
        for _ in range(breaker.FAILURES):
            sent.send(to)
        wait_until(lambda: len(outcomes(to)) == breaker.FAILURES, PATIENCE, "the breaker opens")
        sent.send(to)
        wait_until(lambda: held, PATIENCE, "it waits for the receiver")
    assert not any(delivery.reserved for delivery in held)


def test_a_slow_listener_keeps_nobody_waiting(receiver: Receiver) -> None:
    receiver.answer("/slow", Answer(delay=3))
    slow, quick = listener(receiver.url("/slow")), listener(receiver.url("/quick"))
    with deliveries(LISTENER_IN_FLIGHT=10) as sent:
        for _ in range(60):
            sent.send(slow)
        for _ in range(20):
            sent.send(quick)
        with sent.running():
            wait_for_outcomes(quick, ["delivered"] * 20)
            assert outcomes(slow) == []
            assert len(receiver.at("/slow")) == 10


def test_a_long_backlog_of_one_listener_delays_nobody(sent: Deliveries, receiver: Receiver) -> None:
    behind, quick = listener(receiver.url("/behind"), rate=1), listener(receiver.url("/quick"))
    put(
        sent.broker,
        sent.broker.topology.deliver,
        [encode(sent.message(behind)) for _ in range(2000)],
    )
    for _ in range(20):
        sent.send(quick)
    with sent.running():
        wait_for_outcomes(quick, ["delivered"] * 20)
        assert len(outcomes(behind)) < 20
        assert sent.waiting() > 1900


def test_an_attempt_that_is_in_the_log_is_not_made_again(
    sent: Deliveries, receiver: Receiver
) -> None:
    to = listener(receiver.url())
    message = sent.send(to)
    with sent.running():
        wait_for_outcomes(to, ["delivered"])
    # A deliverer that was killed between the log and the ack would have left the same.
    sent.send_again(message)
    sent.take_and_drop()
    with sent.running():
        wait_until(lambda: sent.waiting() == 0, PATIENCE, "it was acked")
    assert len(receiver.requests) == 1
    assert outcomes(to) == ["delivered"]


def test_a_retry_that_was_published_twice_is_made_once(
    sent: Deliveries, receiver: Receiver
) -> None:
    receiver.answer("/", Answer(500))
    to = listener(receiver.url(), retry={"schedule": [1, 3600], "jitter": 0})
    message = sent.send(to)
    with sent.running():
        wait_for_outcomes(to, ["retry", "retry"])
        # A deliverer that was killed before the log had the first would have left the same.
        sent.send_again(msgspec.structs.replace(message, attempt=2))
        wait_until(lambda: sent.waiting() == sent.parked() == 1, PATIENCE, "it was acked")
    assert len(receiver.requests) == 2
    assert outcomes(to) == ["retry", "retry"]


def test_about_a_wave_of_retries_the_log_is_asked_few_times(
    sent: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    written = made._written

    def counting(attempts: list[AttemptKey]) -> set[AttemptKey]:
        asked.append(len(attempts))
        return written(attempts)

    monkeypatch.setattr(made, "_written", counting)
    to = listener(receiver.url())
    for _ in range(200):
        sent.send(to, attempt=2)
    with sent.running():
        receiver.wait_for(200)
    assert sum(asked) == 200
    assert len(asked) < 50


def test_about_what_is_early_nobody_is_asked(
    sent: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[AttemptKey] = []

    def counting(attempts: list[AttemptKey]) -> set[AttemptKey]:
        asked.extend(attempts)
        return set()

    monkeypatch.setattr(made, "_written", counting)
    to = listener(receiver.url())
    sent.send(to, attempt=2, not_before=time.time() + 3600, delay=3600.0)
    with sent.running():
        wait_until(lambda: sent.waiting() == sent.parked() == 1, PATIENCE, "it rests again")
    assert asked == []


def test_retries_are_made_while_the_log_cannot_be_asked(
    sent: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(attempts: object) -> NoReturn:
        raise Unavailable("The database is away.")

    monkeypatch.setattr(made, "_written", away)
    to = listener(receiver.url())
    sent.send(to, attempt=2)
    with sent.running():
        receiver.wait_for(1)
        wait_for_outcomes(to, ["delivered"])


def test_an_attempt_of_another_run_is_made_though_its_number_is_in_the_log(
    sent: Deliveries, receiver: Receiver
) -> None:
    to = listener(receiver.url())
    message = sent.send(to)
    with sent.running():
        wait_for_outcomes(to, ["delivered"])
    sent.send_again(msgspec.structs.replace(message, run=str(uuid.uuid4())))
    sent.take_and_drop()
    with sent.running():
        wait_for_outcomes(to, ["delivered"] * 2)
    assert len(receiver.requests) == 2


def test_an_attempt_that_is_not_in_the_log_is_made_again(
    sent: Deliveries, receiver: Receiver
) -> None:
    to = listener(receiver.url())
    sent.send(to)
    sent.take_and_drop()
    with sent.running():
        receiver.wait_for(1)
        wait_for_outcomes(to, ["delivered"])


@pytest.mark.parametrize("state", [Listener.State.PAUSED, Listener.State.DISABLED])
def test_nothing_goes_to_who_is_not_active(
    sent: Deliveries, receiver: Receiver, state: Listener.State
) -> None:
    to = listener(receiver.url())
    to.set_state(state)
    sent.send(to)
    with sent.running():
        wait_for_outcomes(to, ["cancelled"])
        to.set_state(Listener.State.ACTIVE)
        sent.send(to)
        wait_for_outcomes(to, ["cancelled", "delivered"])
    assert len(receiver.requests) == 1
    assert sent.autopsies() == []


def test_the_answer_is_kept_as_bytes_and_cut(sent: Deliveries, receiver: Receiver) -> None:
    to = listener(receiver.url(), retry=False)
    receiver.answer("/", Answer(500, body=b"\x00\xff" * 20_000))
    sent.send(to)
    with sent.running():
        wait_for_outcomes(to, ["dead"])
    (attempt,) = Attempt.objects.filter(listener_id=to.pk)
    assert bytes(attempt.answer) == b"\x00\xff" * 8192

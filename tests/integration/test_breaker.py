"""Receivers that are away: their deliveries wait, nobody is called in vain, and all end at last."""

import logging
import socket
import time
from collections.abc import Iterator

import pytest

from deliverer import breaker
from deliverer.share import START
from durian import roles
from durian.models import Attempt
from tests.integration.delivering import (
    PATIENCE,
    Deliveries,
    deliveries,
    listener,
    outcomes,
    wait_for_outcomes,
)
from tests.servers.free import free_port, wait_until
from tests.servers.receiver import Answer, Receiver

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 40


@pytest.fixture
def sent() -> Iterator[Deliveries]:
    """Deliveries with the default settings."""
    with deliveries() as one:
        yield one


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that is away is asked again after a second."""
    monkeypatch.setattr(breaker, "FIRST_WAIT", 1.0)


@pytest.mark.usefixtures("_soon")
def test_a_receiver_that_is_back_gets_all_and_no_attempt_was_counted_for_the_waiting(
    sent: Deliveries, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer("/", Answer(503))
    to = listener(receiver.url(), retry={"schedule": [0.25, 0.25, 0.25, 0.25], "jitter": 0})
    for _ in range(MANY):
        sent.send(to)
    with caplog.at_level(logging.WARNING, "durian.deliverer"), sent.running():
        wait_until(lambda: "is away" in caplog.text, PATIENCE, "the breaker opens")
        receiver.answer("/", Answer())
        wait_until(lambda: sent.waiting() == 0, PATIENCE, "all are delivered")
        wait_until(
            lambda: outcomes(to).count("delivered") == MANY, PATIENCE, "the log has them all"
        )
    # Without the breaker all forty would have been tried and have failed. The first failures make
    # room for others before it opens.
    assert breaker.FAILURES <= outcomes(to).count("retry") < START + breaker.FAILURES
    assert sent.autopsies() == []
    assert f"Listener {to.pk} is back" in caplog.text
    assert caplog.text.count("is away") == caplog.text.count("is back") == 1


@pytest.mark.usefixtures("_soon")
def test_a_receiver_that_is_away_is_asked_by_one_at_a_time(
    sent: Deliveries, receiver: Receiver
) -> None:
    to = listener(f"http://127.0.0.1:{free_port()}/", retry=False)
    other = listener(receiver.url())
    for _ in range(MANY):
        sent.send(to)
    with sent.running():
        wait_until(lambda: len(outcomes(to)) + sent.parked() == MANY, PATIENCE, "none is under way")
        began, before = time.monotonic(), len(outcomes(to))
        # Probes are made after 1, 2 and 4 seconds; each is one attempt and no more.
        wait_until(lambda: len(outcomes(to)) >= before + 2, PATIENCE, "two probes")
        assert time.monotonic() - began > 1.5
        assert len(outcomes(to)) < before + 5
        sent.send(other)
        wait_for_outcomes(other, ["delivered"])
        assert sent.waiting() > MANY / 2


def test_who_has_waited_as_long_as_its_retries_would_take_is_dead_without_a_post(
    sent: Deliveries, receiver: Receiver
) -> None:
    receiver.answer("/", Answer(503))
    to = listener(receiver.url(), retry={"schedule": [7200], "jitter": 0})
    with sent.running():
        for _ in range(breaker.FAILURES):
            sent.send(to)
        wait_until(lambda: len(outcomes(to)) == breaker.FAILURES, PATIENCE, "the breaker opens")
        sent.send(to, held_since=time.time() - 3700)
        late = sent.send(to, held_since=time.time() - 7300)
        wait_until(lambda: "dead" in outcomes(to), PATIENCE, "the end of the late one")
    (row,) = Attempt.objects.filter(listener_id=to.pk, outcome="dead")
    assert (str(row.delivery), row.status) == (late.id, None)
    (autopsy,) = sent.autopsies()
    assert (autopsy.reason, autopsy.event) == ("exhausted", late.event)
    assert "away" in autopsy.detail
    assert len(receiver.requests) == breaker.FAILURES


def test_what_was_before_the_receivers_last_answer_is_no_waiting_for_it(
    sent: Deliveries, receiver: Receiver
) -> None:
    to = listener(receiver.url(), retry={"schedule": [7200], "jitter": 0})
    sent.send(to)
    with sent.running():
        wait_for_outcomes(to, ["delivered"])
        receiver.answer("/", Answer(503))
        for _ in range(breaker.FAILURES):
            sent.send(to)
        wait_until(lambda: len(outcomes(to)) > breaker.FAILURES, PATIENCE, "the breaker opens")
        sent.send(to, held_since=time.time() - 10_000)
        parked = breaker.FAILURES + 1
        wait_until(lambda: sent.parked() == parked, PATIENCE, "it waits again")
    assert sent.autopsies() == []


@pytest.mark.usefixtures("_soon")
def test_who_asks_to_be_left_alone_is_asked_by_nobody_meanwhile(
    sent: Deliveries, receiver: Receiver
) -> None:
    receiver.answer("/", Answer(429, {"Retry-After": "60"}))
    to, other = listener(receiver.url()), listener(receiver.url("/other"))
    for _ in range(breaker.FAILURES):
        sent.send(to)
    with sent.running():
        wait_until(lambda: len(outcomes(to)) == breaker.FAILURES, PATIENCE, "the breaker opens")
        sent.send(to)
        # Without the header one would find out after a second, and after two more.
        for _ in range(5):
            sent.send(other)
            wait_until(lambda: sent.waiting() == breaker.FAILURES + 1, PATIENCE, "it is parked")
            time.sleep(1)
    assert outcomes(to) == ["retry"] * breaker.FAILURES
    assert set(outcomes(other)) == {"delivered"}


def test_a_post_begins_the_waiting_anew(sent: Deliveries, receiver: Receiver) -> None:
    receiver.answer("/", Answer(503))
    to = listener(receiver.url(), retry={"schedule": [2, 7200], "jitter": 0})
    sent.send(to, held_since=time.time() - 10_000)
    for _ in range(1, breaker.FAILURES):
        sent.send(to)
    with sent.running():
        # They come back while the receiver is away, and one finds out whether it still is.
        wait_for_outcomes(to, ["retry"] * (breaker.FAILURES + 1))
        assert sent.waiting() == breaker.FAILURES
    assert sent.autopsies() == []


def test_what_ends_with_the_process_tells_nothing_of_the_receiver(
    sent: Deliveries, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        to = listener(f"http://127.0.0.1:{deaf.getsockname()[1]}/")
        for _ in range(breaker.FAILURES + 1):
            sent.send(to)
        role = roles.DelivererRole()
        thread = roles.start_thread(role.run, "deliverer")
        connections = [deaf.accept()[0] for _ in range(breaker.FAILURES + 1)]
        role.stop(within=0.1)
        thread.join(PATIENCE)
        for connection in connections:
            connection.close()
    assert not thread.is_alive()
    assert "is away" not in caplog.text
    assert outcomes(to) == []
    assert sent.waiting() == breaker.FAILURES + 1


def test_a_dead_letter_that_is_replayed_has_all_its_time_again(
    sent: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "FIRST_WAIT", 60.0)
    receiver.answer("/", Answer(503))
    to = listener(receiver.url(), retry=False)
    with sent.running():
        for _ in range(breaker.FAILURES):
            sent.send(to)
        wait_until(lambda: len(outcomes(to)) == breaker.FAILURES, PATIENCE, "the breaker opens")
        sent.send(to, held_since=time.time() - 7300)
        wait_until(lambda: len(outcomes(to)) > breaker.FAILURES, PATIENCE, "the end of it")
        wait_until(lambda: len(sent.autopsies()) > breaker.FAILURES, PATIENCE, "its letter")
        sent.replay()
        wait_until(lambda: sent.parked() > breaker.FAILURES, PATIENCE, "they wait again")
        assert len(outcomes(to)) == breaker.FAILURES + 1

"""What must not strand a delivery: a site's own policy, a hostile answer, a replica that lags."""

import socket
import threading
from collections.abc import Iterator

import pytest
from django.db import models, router
from pytest_django.fixtures import Settings
from tenacity import RetryCallState
from tenacity.stop import stop_base
from tenacity.wait import wait_none

from deliverer import share
from deliverer.targets import Targets
from durian import roles
from durian.hook import Hook
from durian.models import Attempt, Listener
from durian.policy import RetryPolicy
from durian.wire.messages import label
from tests.integration.delivering import (
    PATIENCE,
    Deliveries,
    deliveries,
    listener,
    outcomes,
    wait_for_outcomes,
)
from tests.integration.site import registered
from tests.integration.wire.harness import take
from tests.servers.free import wait_until
from tests.servers.receiver import Answer, Receiver

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

HOSTILE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, \xff\xfe\xf0 abc, chunked\r\n\r\n"


class stop_broken(stop_base):
    """A rule of a site's own that fails."""

    def __call__(self, retry_state: RetryCallState) -> bool:
        raise RuntimeError("this policy is broken")


@pytest.fixture
def sent() -> Iterator[Deliveries]:
    with deliveries() as one:
        yield one


@pytest.fixture
def hostile() -> Iterator[str]:
    """The address of a receiver whose answer is no HTTP and no text."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                connection.sendall(HOSTILE)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_a_policy_that_fails_buries_its_delivery_and_holds_nobody_up(
    sent: Deliveries, receiver: Receiver
) -> None:
    receiver.answer("/ill", Answer(503))
    ill = listener(receiver.url("/ill"), hook="order.paid")
    well = listener(receiver.url("/well"), hook="order.sent")
    hook = Hook("order.paid", policy=RetryPolicy(wait_none(), stop_broken()))
    with registered(hook), sent.running():
        sent.send(ill)
        sent.send(well)
        wait_for_outcomes(ill, ["dead"])
        wait_for_outcomes(well, ["delivered"])
        wait_until(lambda: not sent.waiting(), PATIENCE, "the queues are empty")
    (autopsy,) = sent.autopsies()
    assert autopsy.reason == "handler-error"
    assert "this policy is broken" in autopsy.detail


def test_a_listener_whose_secrets_cannot_be_read_waits_in_the_broker_and_keeps_nobody_waiting(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    locked, open_ = listener(receiver.url("/locked")), listener(receiver.url("/open"))
    Listener.objects.filter(pk=locked.pk).update(secrets="encrypted with a key that is lost")
    with deliveries(MAX_IN_FLIGHT=3) as sent:
        for _ in range(6):
            sent.send(locked)
        sent.send(open_)
        with sent.running():
            wait_for_outcomes(open_, [Attempt.Outcome.DELIVERED])
        assert sent.waiting() == 6
    assert outcomes(locked) == []
    assert "ENCRYPTION_KEYS" in caplog.text


def test_what_waits_for_a_paused_listener_is_cancelled_whatever_its_secrets_are(
    sent: Deliveries,
) -> None:
    paused = listener("http://127.0.0.1:9/")
    Listener.objects.filter(pk=paused.pk).update(
        secrets="encrypted with a key that is lost", state=Listener.State.PAUSED
    )
    with sent.running():
        sent.send(paused)
        wait_for_outcomes(paused, [Attempt.Outcome.CANCELLED])


def test_an_answer_that_is_no_text_is_logged(sent: Deliveries, hostile: str) -> None:
    one = listener(hostile, retry=False)
    with sent.running():
        sent.send(one)
        wait_for_outcomes(one, ["dead"])
    assert "InvalidAnswer" in Attempt.objects.get(listener_id=one.pk).error


class ReadsElsewhere:
    """A router whose replica has nothing yet."""

    def db_for_read(self, model: type[models.Model], **hints: object) -> str:
        return "other"

    def db_for_write(self, model: type[models.Model], **hints: object) -> str:
        return "default"


def test_a_listener_is_read_where_it_was_written(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [ReadsElsewhere()]
    assert router.db_for_read(Listener) == "other"
    one = Listener.objects.create(hook="order.paid", url="http://127.0.0.1/")
    targets = Targets()
    targets.refresh()
    targets.read([one.pk])
    target = targets.get(one.pk, "order.paid")
    assert target is not None
    one.set_state(Listener.State.PAUSED)
    targets.refresh()
    targets.read([one.pk])
    paused = targets.get(one.pk, "order.paid")
    assert paused is not None
    assert (target.state, paused.state) == ("active", "paused")


def test_an_answer_that_is_no_text_is_logged_in_process_too(hostile: str) -> None:
    with registered(Hook("order.paid", asynchronous=False)) as hook:
        one = listener(hostile, hook="order.paid")
        hook.send(total=5)
    attempt = Attempt.objects.get(listener_id=one.pk)
    assert attempt.outcome == "dead"
    assert "InvalidAnswer" in attempt.error


def test_what_would_go_next_when_the_process_ends_stays_in_the_broker(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(share, "UNPROVEN_SECONDS", 60.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf, deliveries(LISTENER_IN_FLIGHT=2) as sent:
        to = listener(f"http://127.0.0.1:{deaf.getsockname()[1]}/")
        for _ in range(5):
            sent.send(to)
        behind = listener(receiver.url())
        sent.send(behind)
        role = roles.DelivererRole()
        thread = roles.start_thread(role.run, "deliverer")
        receiver.wait_for(1)
        role.stop(within=0.0)
        thread.join(PATIENCE)
        assert not thread.is_alive()
        left = take(sent.broker, sent.broker.topology.deliver, sent.waiting())
        labels = [label(one.body) for one in left]
        assert [one.listener for one in labels if one].count(to.pk) == 5
        assert sent.autopsies() == []
    assert outcomes(to) == []
    assert "could be made" not in caplog.text

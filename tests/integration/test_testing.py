"""durian.testing, under pytest-django and under Django's own TestCase."""

import threading
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models.signals import post_save
from django.test import TestCase
from pytest_django.fixtures import DjangoCaptureOnCommitCallbacks, Settings

from durian.background import background
from durian.event import Hook, ModelHook
from durian.eventrow import EventRow
from durian.models import Attempt, Event
from durian.signals import events_committed
from durian.testing import capture_events, deliver
from tests.integration.site import registered
from tests.servers.receiver import Answer, Receiver

GROUP = ModelHook(Group, post_save, name="group", provides_args=["name"])


class CaptureUnderTestCase(TestCase):
    """As a site's own test would have it: no transaction is ever committed."""

    def test_what_was_raised_is_seen(self) -> None:
        with registered(GROUP), capture_events() as events:
            Group.objects.create(name="editors")
            assert [event.hook for event in events] == ["group"]
        assert events[0].payload == {"name": "editors"}
        assert events[0].id == Event.objects.get().id


@pytest.mark.django_db
def test_only_what_the_block_raised_is_captured() -> None:
    hook = Hook("myhook")
    hook.send(n=1)
    with capture_events() as outer:
        hook.send(n=2)
        with capture_events() as inner:
            hook.send_many([{"n": 3}, {"n": 4}])
    hook.send(n=5)
    assert [event.payload["n"] for event in outer] == [2, 3, 4]
    assert [event.payload["n"] for event in inner] == [3, 4]


@pytest.mark.django_db
def test_what_was_rolled_back_was_not_raised() -> None:
    with capture_events() as events:
        with transaction.atomic():
            Hook("myhook").send(n=1)
            transaction.set_rollback(True)
        Hook("myhook").send(n=2)
    assert [event.payload["n"] for event in events] == [2]


@pytest.mark.django_db
def test_an_error_in_the_block_ends_the_capture() -> None:
    with pytest.raises(ZeroDivisionError), capture_events() as events:
        raise ZeroDivisionError
    Hook("myhook").send()
    assert events == []


@pytest.mark.django_db(transaction=True)
def test_no_thread_is_started_and_no_broker_asked(settings: Settings) -> None:
    settings.DURIAN = {"BROKER_URL": "memory://"}
    before = threading.enumerate()
    with capture_events() as events:
        Hook("myhook").send()
    assert len(events) == 1
    assert threading.enumerate() == before
    assert site.DURIAN == {"BROKER_URL": "memory://"}


@pytest.mark.django_db
def test_no_relay_is_started_by_what_is_never_committed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DURIAN = {"RELAY": "thread"}
    monkeypatch.setattr(background, "give", lambda *_: pytest.fail("a relay was started"))
    Hook("myhook").send()


@pytest.mark.django_db
def test_what_a_test_case_does_not_commit_is_not_taken_for_committed(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    heard: list[list[EventRow]] = []

    def hear(rows: list[EventRow], **_: Any) -> None:
        heard.append(rows)

    events_committed.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
            Hook("myhook").send(name="Joe")
        assert heard == [[]]
    finally:
        events_committed.disconnect(hear)


@pytest.mark.django_db
def test_captured_events_are_delivered_in_this_thread(
    receiver: Receiver, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    receiver.answer("/bad", Answer(status=503))
    with registered(Hook("myhook")) as hook:
        hook.add_listener(receiver.url("/good"), {"n": 1})
        hook.add_listener(receiver.url("/bad"))
        with capture_events() as events:
            hook.send(n=1)
            hook.send(n=2)
        attempts = deliver(events)
    assert [(attempt.outcome, attempt.status) for attempt in attempts] == [
        ("delivered", 200),
        ("dead", 503),
        ("dead", 503),
    ]
    assert [request.headers["webhook-id"] for request in receiver.at("/good")] == [
        str(events[0].id)
    ]
    assert Attempt.objects.count() == 3

"""The outbox: events are written, or not, with the transaction that they are raised in."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models.signals import post_save
from pytest_django.fixtures import Settings

from durian.errors import ConfigurationError
from durian.event import Hook, ModelHook
from durian.models import Event
from durian.signals import events_committed
from tests.integration.site import registered

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

hook = Hook(name="myhook")


@pytest.fixture
def committed() -> Iterator[list[str]]:
    """The databases whose outbox was said to have something, one by one."""
    heard: list[str] = []

    def hear(using: str, **_: Any) -> None:
        heard.append(using)

    events_committed.connect(hear)
    yield heard
    events_committed.disconnect(hear)


def names(using: str = "default") -> list[str]:
    return [event.payload["name"] for event in Event.objects.using(using).order_by("id")]


def test_an_event_is_announced_when_its_transaction_has_been_committed(
    committed: list[str],
) -> None:
    with transaction.atomic():
        hook.send(name="Joe")
        hook.send_many([{"name": "Jim"}])
        assert committed == []
    assert names() == ["Joe", "Jim"]
    assert committed == ["default", "default"]


def test_in_autocommit_an_event_is_committed_by_send(committed: list[str]) -> None:
    hook.send(name="Joe")
    assert (names(), committed) == (["Joe"], ["default"])


def test_what_is_rolled_back_raised_no_event(committed: list[str]) -> None:
    with registered(ModelHook(Group, post_save, name="group")), transaction.atomic():
        Group.objects.create(name="editors")
        hook.send(name="Joe")
        hook.send_many([{"name": "Jim"}])
        assert Event.objects.count() == 3
        transaction.set_rollback(True)
    assert (Event.objects.count(), Group.objects.count(), committed) == (0, 0, [])


def test_a_savepoint_that_is_rolled_back_takes_its_events_along(committed: list[str]) -> None:
    with transaction.atomic():
        hook.send(name="kept")
        with transaction.atomic():
            hook.send(name="undone")
            transaction.set_rollback(True)
        with transaction.atomic():
            hook.send(name="kept too")
    assert names() == ["kept", "kept too"]
    assert committed == ["default"] * 2


def test_an_event_goes_to_the_database_of_what_happened(committed: list[str]) -> None:
    with registered(ModelHook(Group, post_save, name="group", provides_args=["name"])):
        Group.objects.create(name="here")
        Group.objects.using("other").create(name="there")
    assert (names(), names("other")) == (["here"], ["there"])
    assert committed == ["default", "other"]


def test_an_event_shares_the_fate_of_its_own_database(committed: list[str]) -> None:
    group_hook = ModelHook(Group, post_save, name="group", provides_args=["name"])
    with registered(group_hook), transaction.atomic(using="other"):
        Group.objects.create(name="here")
        Group.objects.using("other").create(name="there")
        transaction.set_rollback(True, using="other")
    assert (names(), names("other")) == (["here"], [])


def test_many_are_sent_to_a_database_by_its_name(committed: list[str]) -> None:
    hook.send_many([{"name": "Joe"}], using="other")
    assert (names(), names("other"), committed) == ([], ["Joe"], ["other"])


def test_a_router_says_where_events_go_that_no_model_raised(settings: Settings) -> None:
    class Elsewhere:
        def db_for_write(self, model: type, **hints: Any) -> str | None:
            return "other" if model is Event else None

    settings.DATABASE_ROUTERS = [Elsewhere()]
    hook.send(name="Joe")
    assert (names(), names("other")) == ([], ["Joe"])


def test_an_outbox_that_nobody_reads_is_an_error(settings: Settings) -> None:
    settings.DURIAN = {"OUTBOX_DATABASES": ["default"]}
    with pytest.raises(ConfigurationError, match=r"'myhook' .* 'other'.*OUTBOX_DATABASES"):
        hook.send_many([{"name": "Joe"}], using="other")
    with (
        registered(ModelHook(Group, post_save, name="group")),
        pytest.raises(ConfigurationError),
        transaction.atomic(using="other"),
    ):
        Group.objects.using("other").create(name="there")
    assert names("other") == []
    assert not Group.objects.using("other").exists()


def test_failing_silently_is_about_the_event_and_nothing_else(settings: Settings) -> None:
    settings.DURIAN = {"OUTBOX_DATABASES": ["default"]}
    silent = ModelHook(Group, post_save, name="group", fail_silently=True)
    with registered(silent), transaction.atomic(using="other"):
        Group.objects.using("other").create(name="there")
    assert Group.objects.using("other").exists()


def test_a_relay_that_cannot_start_does_not_fail_the_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("no more threads")

    events_committed.connect(fail)
    try:
        with transaction.atomic():
            hook.send(name="Joe")
    finally:
        events_committed.disconnect(fail)
    assert names() == ["Joe"]
    assert "no more threads" in caplog.text

"""Hooks: what raises an event, and what the event says."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django import forms
from django.contrib.auth.models import Group, Permission, User
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Upper
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.dispatch import Signal
from pytest_django.fixtures import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings

from durian import ids
from durian.errors import InvalidFilter, PayloadError
from durian.event import Hook, ModelHook, SignalHook
from durian.match import Startswith
from durian.models import Event, Listener
from durian.signals import dispatch_requested
from durian.testing import capture_events
from tests.integration.site import registered
from tests.servers.receiver import Answer, Receiver

pytestmark = pytest.mark.django_db

URL = "http://where.joe/is/listening"


class GroupHook(ModelHook):
    name = "group"
    model = Group
    signal = post_save
    provides_args = ("id", "name")


@pytest.fixture
def group_hook() -> Iterator[GroupHook]:
    with registered(GroupHook()) as hook:
        yield hook


def raised() -> list[tuple[str, Any]]:
    return [(event.hook, event.payload) for event in Event.objects.order_by("id")]


# Raising


def test_send_writes_the_payload_and_returns_the_id() -> None:
    sent = Hook("myhook").send(sender=None, name="George Constanza", address="New York City")
    assert sent is not None
    event = Event.objects.get()
    assert (event.id, event.hook, event.published_at) == (sent.id, "myhook", None)
    assert event.payload == {"name": "George Constanza", "address": "New York City"}
    assert sent.id.version == 7
    assert sent.outcomes == []


def test_a_hook_needs_no_registry_to_send() -> None:
    class MyHook(Hook):
        name = "myhook"

    MyHook().send()
    assert raised() == [("myhook", {})]


def test_prepare_payload_may_decline() -> None:
    class Shy(Hook):
        name = "shy"

        def prepare_payload(self, sender: Any, payload: dict[str, Any]) -> None:
            return None

    assert Shy().send(name="Joe") is None
    assert Shy().send_many([{}, {}]) == []
    assert raised() == []


@pytest.mark.parametrize("payload", [{"bad": object()}, {"big": "x" * 300_000}])
def test_a_payload_that_cannot_be_sent_raises_before_anything_is_written(
    payload: dict[str, Any], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0), pytest.raises(PayloadError, match="'myhook'"):
        Hook("myhook").send(None, **payload)
    with django_assert_num_queries(0), pytest.raises(PayloadError, match="'myhook'"):
        Hook("myhook").send_many([{"good": 1}, payload])


def test_the_bytes_of_an_event_are_made_once() -> None:
    sent = Hook("myhook").send(b=1, a=[2, {"d": 1, "c": 2}])
    assert sent
    assert Event.objects.get(pk=sent.id).body == '{"b": 1, "a": [2, {"d": 1, "c": 2}]}'


def test_the_standard_envelope_is_around_the_payload() -> None:
    Hook("myhook", envelope="standard").send(name="Joe")
    event = Event.objects.get()
    assert json.loads(event.body)["type"] == "myhook"
    assert event.payload == {"name": "Joe"}


def test_an_event_is_one_insert_in_the_transaction_of_the_caller(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with transaction.atomic(), django_assert_num_queries(1):
        Hook("myhook").send()


@pytest.mark.parametrize("asynchronous", [True, False])
def test_the_row_of_an_event_is_what_its_signal_said(asynchronous: bool) -> None:
    with capture_events() as events:
        Hook("my.hook", envelope="standard", archive=False, asynchronous=asynchronous).send(
            text="%s '\"\\ \N{SNOWMAN}", none=None
        )
    [event] = events
    row = Event.objects.get()
    for field in Event._meta.concrete_fields:
        assert getattr(event, field.name) == getattr(row, field.name), field.name
    event.error = "one more thing"
    event.save()
    assert Event.objects.get().error == "one more thing", "it was no new one"


# Many at once


def test_many_events_are_one_insert(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        made = Hook("myhook").send_many({"number": number} for number in range(100))
    assert [event.payload["number"] for event in Event.objects.order_by("id")] == [*range(100)]
    assert made == [event.id for event in Event.objects.order_by("id")]


def test_a_hook_of_a_model_takes_instances_that_raised_no_signal(group_hook: GroupHook) -> None:
    groups = Group.objects.bulk_create([Group(name="a"), Group(name="b")])
    assert raised() == []
    group_hook.send_many([*groups, {"name": "c", "colour": "red"}])
    expected = [{"id": group.pk, "name": group.name} for group in groups]
    assert [payload for _, payload in raised()] == [*expected, {"name": "c"}]


# Failing


@pytest.fixture
def same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "new_event_id", lambda: UUID(int=1))


@pytest.mark.usefixtures("same_ids")
def test_an_event_that_cannot_be_recorded_raises() -> None:
    Hook("myhook").send()
    with pytest.raises(IntegrityError), transaction.atomic():
        Hook("myhook").send()


@pytest.mark.usefixtures("same_ids")
def test_a_transaction_whose_event_was_not_recorded_cannot_commit() -> None:
    Hook("myhook").send()
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            Hook("myhook").send()
        with pytest.raises(transaction.TransactionManagementError):
            Event.objects.count()
    assert Event.objects.count() == 1


class SilentHook(Hook):
    name = "myhook"
    fail_silently = True


@pytest.mark.usefixtures("same_ids")
def test_failing_silently_logs_and_leaves_the_transaction_usable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    SilentHook().send(first=True)
    with transaction.atomic():
        assert SilentHook().send() is None
        assert SilentHook().send_many([{}]) == []
        Group.objects.create(name="after it")
    assert raised() == [("myhook", {"first": True})]
    assert Group.objects.filter(name="after it").exists()
    assert caplog.messages == ["An event of 'myhook' was not recorded."] * 2


def test_failing_silently_is_about_payloads_too() -> None:
    assert SilentHook().send(bad=object()) is None
    assert raised() == []


# Signals


def test_saving_raises_an_event_with_the_named_fields(group_hook: GroupHook) -> None:
    group = Group.objects.create(name="editors")
    group.name = "authors"
    group.save()
    assert raised() == [
        ("group", {"id": group.pk, "name": "editors"}),
        ("group", {"id": group.pk, "name": "authors"}),
    ]


def test_by_default_neither_password_nor_key_is_sent() -> None:
    with registered(ModelHook(User, post_save, name="user")):
        User.objects.create_user("joe", password="hunter2")
    ((_, payload),) = raised()
    assert payload["username"] == "joe"
    assert not {"password", "id"} & payload.keys()


def test_two_hooks_of_one_model_and_signal_both_hear_it(group_hook: GroupHook) -> None:
    with registered(ModelHook(Group, post_save, name="group.again")):
        Group.objects.create(name="editors")
    assert sorted(hook for hook, _ in raised()) == ["group", "group.again"]


def test_a_hook_hears_its_own_model_only(group_hook: GroupHook) -> None:
    User.objects.create_user("joe")
    assert raised() == []


def test_a_hook_that_left_the_registry_hears_nothing() -> None:
    with registered(GroupHook()):
        pass
    Group.objects.create(name="editors")
    assert raised() == []


def test_connect_and_disconnect_by_hand() -> None:
    hook = GroupHook()
    hook.connect()
    User.objects.create_user("joe")
    Group.objects.create(name="a")
    hook.disconnect()
    Group.objects.create(name="b")
    assert [payload["name"] for _, payload in raised()] == ["a"]


def test_deleting_raises_an_event_that_still_has_the_key() -> None:
    group = Group.objects.create(name="editors")
    hook = ModelHook(Group, post_delete, name="group.deleted", provides_args=["id", "name"])
    key = group.pk
    with registered(hook):
        group.delete()
    assert raised() == [("group.deleted", {"id": key, "name": "editors"})]


def test_many_to_many_changes_raise_events() -> None:
    class Permitted(SignalHook):
        name = "group.permissions"
        signal = m2m_changed
        sender = Group.permissions.through

        def prepare_payload(self, sender: Any, payload: dict[str, Any]) -> dict[str, Any] | None:
            if not payload["action"].startswith("post_"):
                return None
            return {"group": payload["instance"].name, "keys": sorted(payload["pk_set"])}

    group, permission = Group.objects.create(name="editors"), Permission.objects.all()[0]
    with registered(Permitted()):
        group.permissions.add(permission)
        group.permissions.remove(permission)
    change = ("group.permissions", {"group": "editors", "keys": [permission.pk]})
    assert raised() == [change, change]


def test_a_signal_of_the_site_raises_an_event_of_its_arguments() -> None:
    rung = Signal()
    with (
        registered(SignalHook(name="rung", signal=rung)),
        registered(SignalHook(name="rung.loud", signal=rung, sender="tower", provides_args=["n"])),
    ):
        rung.send(sender="door", n=1, why="visit")
        rung.send(sender="tower", n=2, why="noon")
    assert raised() == [
        ("rung", {"n": 1, "why": "visit"}),
        ("rung", {"n": 2, "why": "noon"}),
        ("rung.loud", {"n": 2}),
    ]


def test_loading_fixtures_raises_no_event(group_hook: GroupHook) -> None:
    fixture = '[{"model": "auth.group", "pk": 7, "fields": {"name": "x", "permissions": []}}]'
    for item in serializers.deserialize("json", fixture):
        item.save()
    assert Group.objects.filter(pk=7).exists()
    assert raised() == []


def test_what_the_database_computed_is_read_back() -> None:
    user = User.objects.create_user("joe")
    with registered(ModelHook(User, post_save, name="user", provides_args=["first_name"])):
        user.first_name = Upper("username")
        user.save()
    assert raised() == [("user", {"first_name": "JOE"})]


def test_relations_to_many_give_the_keys() -> None:
    user, group = User.objects.create_user("joe"), Group.objects.create(name="editors")
    user.groups.add(group)
    with registered(ModelHook(User, post_save, name="user", provides_args=["groups"])):
        user.save()
    with registered(ModelHook(Group, post_save, name="group", provides_args=["user_set"])):
        group.save()
    assert raised() == [("user", {"groups": [group.pk]}), ("group", {"user_set": [user.pk]})]


# In this process


def test_in_process_the_post_is_made_when_the_transaction_commits(
    receiver: Receiver, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    receiver.answer("/bad", Answer(status=500))
    with registered(Hook(name="myhook", **{"async": False})) as hook:
        hook.add_listener(receiver.url("/good"), match={"name": Startswith("J")})
        hook.add_listener(receiver.url("/bad"))
        with django_capture_on_commit_callbacks(execute=True):
            sent = hook.send(name="Joe")
            assert sent
            assert receiver.requests == ()
    outcomes = [(attempt.outcome, attempt.status) for attempt in sent.outcomes]
    assert outcomes == [("delivered", 200), ("dead", 500)]
    assert json.loads(receiver.at("/good")[0].body) == {"name": "Joe"}
    assert receiver.at("/good")[0].headers["webhook-id"] == str(sent.id)
    assert Event.objects.get().published_at, "a relay would send it once more"


def test_in_process_each_of_many_is_delivered(
    receiver: Receiver, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with registered(Hook(name="myhook", asynchronous=False)) as hook:
        hook.add_listener(receiver.url())
        with django_capture_on_commit_callbacks(execute=True):
            hook.send_many([{"n": 1}, {"n": 2}])
    assert [json.loads(request.body)["n"] for request in receiver.requests] == [1, 2]


def test_in_process_a_hook_need_not_be_registered_and_its_events_not_be_kept(
    receiver: Receiver, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    hook = Hook(name="myhook", asynchronous=False, archive=False)
    hook.add_listener(receiver.url())
    with django_capture_on_commit_callbacks(execute=True):
        sent = hook.send(name="Joe")
    assert sent
    assert [attempt.outcome for attempt in sent.outcomes] == ["delivered"]
    assert not Event.objects.exists()


def test_what_fails_in_process_does_not_undo_what_happened(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("no such thing")

    dispatch_requested.connect(fail)
    others: list[str] = []
    try:
        with django_capture_on_commit_callbacks(execute=True):
            Hook(name="myhook", asynchronous=False).send()
            transaction.on_commit(lambda: others.append("run"))
    finally:
        dispatch_requested.disconnect(fail)
    assert Event.objects.count() == 1
    assert others == ["run"]


# Listeners in code


def test_a_listener_is_made_as_the_readme_shows(group_hook: GroupHook) -> None:
    GroupHook().listener(url=URL).match(name="Joe").save()
    GroupHook().listener(url=URL).match(name=Startswith("J")).save()
    GroupHook().listener(url=URL).save()
    GroupHook().listener(url=URL, match={"name": {"first": Startswith("M")}}).save()
    filters = [listener.match for listener in Listener.objects.order_by("id")]
    assert [group_hook.event_filter(None, {"name": "Joe"}, one) for one in filters] == [
        True,
        True,
        True,
        False,
    ]
    assert [group_hook.event_filter(None, {"name": "Jim"}, one) for one in filters] == [
        False,
        True,
        True,
        False,
    ]
    assert {listener.hook for listener in Listener.objects.all()} == {"group"}


def test_add_listener_keeps_the_hooks_name_and_the_options() -> None:
    user = User.objects.create_user("joe")
    listener = Hook("myhook").add_listener(URL, {"name": "Joe"}, user=user, timeout=9)
    listener.refresh_from_db()
    assert (listener.hook, listener.url, listener.user) == ("myhook", URL, user)
    assert (listener.match, listener.config) == ({"name": "Joe"}, {"timeout": 9})
    assert listener.state == Listener.State.ACTIVE


class ConfigForm(forms.Form):
    url = forms.CharField()
    max_retries = forms.IntegerField(required=False)


def test_a_listener_is_made_from_a_bound_form() -> None:
    hook = Hook("myhook", config_form=ConfigForm)
    listener = hook.add_listener_by_form(ConfigForm({"url": URL, "max_retries": 3}), {"a": 1})
    assert (listener.url, listener.match, listener.config) == (URL, {"a": 1}, {"max_retries": 3})
    assert hook.listener(ConfigForm({"url": URL})).match(a=2).save().config == {}
    with pytest.raises(ValidationError, match="url"):
        hook.listener(ConfigForm({}))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "ftp://where.joe/"}, "url"),
        ({"url": "http://127.0.0.2:1/", "timeout": 99}, "config"),
        ({"url": URL, "colour": "red"}, "config"),
        ({}, "url"),
    ],
)
def test_a_mistake_in_a_listener_is_named_by_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as error:
        Hook("myhook").listener(**fields).save()
    assert field in error.value.message_dict
    assert not Listener.objects.exists()


def test_a_filter_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidFilter, match="regex"):
        Hook("myhook").listener(url=URL).match(name={"$regex": "("}).save()


def test_get_listeners_are_those_that_receive_the_payload(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = Hook("order.paid")
    wanted = [
        hook.add_listener(URL),
        hook.add_listener(URL, {"total": {"$gt": 5}}),
        Listener.objects.create(hook="order.*", url=URL),
        Listener.objects.create(hook="#", url=URL),
    ]
    hook.add_listener(URL, {"total": {"$gt": 50}})
    Listener.objects.create(hook="article.*", url=URL)
    Listener.objects.create(hook="order.paid", url=URL, state=Listener.State.PAUSED)
    Listener.objects.create(hook="order.paid", url=URL, match={"total": {"$bogus": 1}})
    found = hook.get_listeners(None, {"total": 10})
    assert sorted(listener.pk for listener in found) == [listener.pk for listener in wanted]
    assert "its filter is invalid" in caplog.text


def test_an_event_filter_of_its_own_decides() -> None:
    class Northern(Hook):
        name = "northern"

        def event_filter(self, sender: Any, payload: Any, match_dict: Any) -> bool:
            return payload["region"] == "north" and super().event_filter(
                sender, payload, match_dict
            )

    listener = Northern().add_listener(URL, {"n": 1})
    assert Northern().get_listeners(None, {"region": "north", "n": 1}) == [listener]
    assert Northern().get_listeners(None, {"region": "north", "n": 2}) == []
    assert Northern().get_listeners(None, {"region": "south", "n": 1}) == []


def test_a_request_of_the_site_talks_to_the_database_only(
    settings: Settings, group_hook: GroupHook
) -> None:
    # Nothing listens there: whoever talked to this broker would fail.
    settings.DURIAN = {**settings.DURIAN, "BROKER_URL": "amqp://127.0.0.1:1//"}
    Group.objects.create(name="editors")
    assert raised()
    assert connection.in_atomic_block

"""Hooks of models: what an event says of rows that are half read, on their way, or going."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, models
from django.db.models import Value
from django.db.models.functions import Lower, Upper
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save
from pytest_django.fixtures import Settings

from durian.event import Hook, ModelHook, SignalHook
from durian.models import Event
from tests.integration.site import Replica, registered
from tests.versions import generated_fields

pytestmark = pytest.mark.django_db

SENT = ["username", "first_name", "groups"]


@cache
def model_with_total() -> Any:
    """A model whose total the database makes; its table is made by the test that needs it."""

    class Line(models.Model):
        pieces = models.IntegerField()
        total = models.GeneratedField(
            expression=models.F("pieces") * 3, output_field=models.IntegerField(), db_persist=True
        )

        class Meta:
            app_label = "shop"

    return Line


def raised() -> list[Any]:
    return [event.payload for event in Event.objects.order_by("id")]


# Deleting


@pytest.fixture
def deleted() -> Iterator[ModelHook]:
    hook = ModelHook(User, post_delete, name="user.deleted", provides_args=SENT)
    with registered(hook):
        yield hook


@pytest.fixture
def joe() -> User:
    user = User.objects.create_user("joe", first_name="Joe")
    user.groups.add(Group.objects.create(pk=7, name="editors"))
    return user


GONE = {"username": "joe", "first_name": "Joe", "groups": [7]}


@pytest.mark.usefixtures("deleted")
def test_deleting_tells_what_the_instance_did_not_know(joe: User) -> None:
    User.objects.only("id").get().delete()
    assert raised() == [GONE]
    assert not User.objects.exists()


@pytest.mark.usefixtures("deleted", "joe")
def test_deleting_many_tells_what_the_instances_did_not_know() -> None:
    User.objects.create_user("jim", first_name="Jim")
    User.objects.defer("first_name").delete()
    told = sorted(raised(), key=lambda payload: str(payload["username"]))
    assert told == [{"username": "jim", "first_name": "Jim", "groups": []}, GONE]


@pytest.mark.usefixtures("deleted")
def test_deleting_tells_what_the_database_computed(joe: User) -> None:
    joe.first_name = Upper("username")
    joe.save()
    joe.delete()
    assert raised() == [{**GONE, "first_name": "JOE"}]


@pytest.mark.usefixtures("deleted")
def test_an_instance_that_is_deleted_twice_is_read_twice(joe: User) -> None:
    joe.delete()
    joe.first_name = "Jim"
    joe.save()
    joe.delete()
    assert raised() == [GONE, {"username": "joe", "first_name": "Jim", "groups": []}]


def test_each_hook_of_a_deletion_tells_its_own_fields(joe: User) -> None:
    one = ModelHook(User, post_delete, name="one", provides_args=["username"])
    two = ModelHook(User, post_delete, name="two", provides_args=["first_name"])
    with registered(one), registered(two):
        joe.delete()
    assert {key for payload in raised() for key in payload} == {"username", "first_name"}


def test_a_signal_that_is_sent_by_hand_tells_the_same(deleted: ModelHook, joe: User) -> None:
    post_delete.send(sender=User, instance=joe, using="default", origin=joe)
    assert raised() == [GONE]


def test_a_hook_that_left_the_registry_reads_nothing_of_a_deletion() -> None:
    before = pre_delete.has_listeners(User)
    with registered(ModelHook(User, post_delete, name="user.deleted")):
        assert pre_delete.has_listeners(User)
    assert pre_delete.has_listeners(User) is before


def test_what_cannot_be_read_silently_stops_no_deletion(
    joe: User, caplog: pytest.LogCaptureFixture
) -> None:
    hook = ModelHook(
        User, post_delete, name="user", provides_args=["shoe_size"], fail_silently=True
    )
    with registered(hook):
        joe.delete()
    assert (raised(), User.objects.exists()) == ([], False)
    assert caplog.messages == ["An event of 'user' was not recorded."]


# Saving


@pytest.mark.django_db(databases=["default", "other"])
def test_a_replica_that_lags_is_not_asked(settings: Settings, joe: User) -> None:
    half_read = User.objects.defer("first_name").get()
    settings.DATABASE_ROUTERS = [Replica()]
    with registered(ModelHook(User, post_save, name="user", provides_args=SENT)):
        joe.save()
        half_read.save()
    events = Event.objects.using("default").order_by("id")
    assert [event.payload for event in events] == [GONE, GONE]


@pytest.mark.django_db(databases=["default", "other"])
def test_in_process_listeners_are_read_where_they_are_written(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [Replica()]
    hook = Hook("myhook")
    listener = hook.add_listener("http://where.joe/")
    assert hook.get_listeners(None, {}) == [listener]


def test_a_field_that_was_not_read_is_read_for_the_event(joe: User) -> None:
    with registered(ModelHook(User, post_save, name="user", provides_args=SENT)):
        User.objects.defer("first_name").get().save()
    assert raised() == [GONE]


def test_before_a_row_is_there_nobody_knows_what_an_expression_will_be() -> None:
    with registered(ModelHook(User, pre_save, name="user", provides_args=["first_name"])):
        User.objects.create(username="joe", first_name=Lower(Value("JOE")))
    assert raised() == [{"first_name": None}]
    assert User.objects.get().first_name == "joe"


# Relations


@pytest.fixture
def tags_changed() -> Iterator[SignalHook]:
    """The example of the documents, with users for its articles and groups for its tags."""
    text = (Path(__file__).resolve().parents[2] / "docs/hooks.md").read_text()
    (example,) = re.findall(r"^class TagsChanged.*?(?=^```)", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {
        "SignalHook": SignalHook,
        "m2m_changed": m2m_changed,
        "Article": SimpleNamespace(tags=User.groups),
    }
    exec(example, names)  # noqa: S102  (it is ours)
    with registered(names["TagsChanged"]()) as hook:
        yield hook


@pytest.mark.usefixtures("tags_changed")
def test_the_documents_example_tells_which_side_is_which() -> None:
    user, group = User.objects.create_user("joe", pk=5), Group.objects.create(pk=7, name="editors")
    user.groups.add(group)
    group.user_set.remove(user)
    group.user_set.add(user)
    user.groups.clear()
    group.user_set.clear()
    assert raised() == [
        {"action": "post_add", "articles": [5], "tags": [7]},
        {"action": "post_remove", "articles": [5], "tags": [7]},
        {"action": "post_add", "articles": [5], "tags": [7]},
        {"action": "post_clear", "articles": [5], "tags": []},
        {"action": "post_clear", "articles": [], "tags": [7]},
    ]


@generated_fields
@pytest.mark.django_db(transaction=True)
def test_what_the_database_generates_is_sent_as_it_is_now() -> None:
    line_model = model_with_total()
    with connection.schema_editor() as editor:
        editor.create_model(line_model)
    try:
        line = line_model(pieces=2)
        line.save()
        line.pieces = 10
        line.save()
        hook = ModelHook(line_model, post_save, name="line")
        assert hook.prepare_payload(line_model, {"instance": line}) == {"pieces": 10, "total": 30}
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(line_model)

"""The system checks: each says what is wrong, and is silent when it is right."""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import Group
from django.core.checks import run_checks
from django.core.management import call_command
from django.db.models.signals import post_save, pre_save
from pytest_django.fixtures import Settings

from durian.event import Hook, ModelHook
from durian.models import Event
from tests.integration.site import registered
from tests.versions import immediate_sqlite

pytestmark = pytest.mark.django_db(databases=["default", "other"])

RABBIT = "amqp://user:hunter2@127.0.0.1:1//"


@pytest.fixture(autouse=True)
def good(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that no check of durian objects to."""
    settings.DURIAN = {"BROKER_URL": RABBIT, "OUTBOX_DATABASES": ["default", "other"]}
    databases = copy.deepcopy(site.DATABASES)
    for database in databases.values():
        database["ATOMIC_REQUESTS"] = True
    # Not through the fixture, which would tell Django to connect to other databases.
    monkeypatch.setattr(site, "DATABASES", databases)
    return settings


def said() -> list[tuple[str, str]]:
    """The id of each complaint, with its text and hint."""
    return [(str(one.id), f"{one.msg} {one.hint}") for one in run_checks(tags=["durian"])]


def the_only(number: str) -> str:
    ((found, text),) = said()
    assert found == f"durian.{number}"
    return text


def group_hook(**fields: Any) -> ModelHook:
    return ModelHook(Group, post_save, name="group", **fields)


def test_a_site_in_order_hears_nothing() -> None:
    with registered(group_hook()), registered(Hook(name="myhook")):
        assert said() == []


def test_the_checks_run_with_djangos_own() -> None:
    call_command("check", "--tag", "durian")


# E001


@pytest.mark.parametrize(
    ("durian", "says"),
    [
        ({"COLOUR": "red"}, "COLOUR"),
        ({"MAX_PAYLOAD": "big"}, "MAX_PAYLOAD"),
        ({"RELAY": "sometimes"}, "RELAY"),
        ({"BROKER_URL": "redis://:hunter2@127.0.0.1"}, "redis"),
        ({"ALLOW_NETWORKS": ["10.0.0.0/99"]}, "10.0.0.0/99"),
        ({"ENCRYPTION_KEYS": [""]}, "ENCRYPTION_KEYS"),
        ([], "dictionary"),
    ],
)
def test_e001_a_setting_is_wrong(good: Settings, durian: Any, says: str) -> None:
    good.DURIAN = {"BROKER_URL": RABBIT, **durian} if durian else durian
    text = the_only("E001")
    assert says in text
    assert "hunter2" not in text


def test_checking_memory_starts_nothing(good: Settings) -> None:
    good.DEBUG = True
    good.DURIAN = {"BROKER_URL": "memory://", "NAME_PREFIX": "checked."}
    assert said() == []


# E002


@pytest.mark.parametrize("name", ["publisher", "deliverer"])
def test_e002_a_package_of_the_site_hides_durians(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    # As before anything was imported: Python finds the first one on its path.
    monkeypatch.delitem(sys.modules, name)
    text = the_only("E002")
    assert repr(name) in text
    assert str(tmp_path) in text


# E003


@immediate_sqlite
def test_e003_sqlite_without_immediate_transactions(good: Settings) -> None:
    for database in site.DATABASES.values():
        database["OPTIONS"] = {}
    assert "two writers" in the_only("E003")
    assert "IMMEDIATE" in the_only("E003")


def test_e003_is_about_outboxes_only(good: Settings, default_database: str) -> None:
    for database in site.DATABASES.values():
        database["OPTIONS"] = {}
    kinds = {"postgresql": "sqlite", "sqlite": "postgresql"}
    postgresql = "default" if kinds[default_database] == "sqlite" else "other"
    good.DURIAN = {"BROKER_URL": RABBIT, "OUTBOX_DATABASES": [postgresql]}
    assert said() == []


# E004


def test_e004_an_outbox_that_is_no_database(good: Settings) -> None:
    good.DURIAN = {"BROKER_URL": RABBIT, "OUTBOX_DATABASES": ["default", "nowhere"]}
    assert "'nowhere'" in the_only("E004")


class Elsewhere:
    """A router that writes everything to the other database."""

    def db_for_write(self, model: type, **hints: Any) -> str:
        return "other"


class EventsElsewhere:
    """A router that writes only events that no model raised to the other database."""

    def db_for_write(self, model: type, **hints: Any) -> str | None:
        return "other" if model is Event else None


def test_e004_a_model_whose_outbox_nobody_reads(good: Settings) -> None:
    good.DURIAN = {"BROKER_URL": RABBIT, "OUTBOX_DATABASES": ["default"]}
    good.DATABASE_ROUTERS = [Elsewhere()]
    with registered(group_hook()):
        text = the_only("E004")
    assert "'group'" in text
    assert "Add 'other'" in text
    good.DURIAN = {"BROKER_URL": RABBIT, "OUTBOX_DATABASES": ["default", "other"]}
    with registered(group_hook()):
        assert said() == []


def test_e004_a_hook_without_a_model_whose_outbox_nobody_reads(good: Settings) -> None:
    good.DURIAN = {"BROKER_URL": RABBIT, "OUTBOX_DATABASES": ["default"]}
    good.DATABASE_ROUTERS = [EventsElsewhere()]
    with registered(Hook(name="myhook")), registered(group_hook()):
        assert "'myhook'" in the_only("E004")


# W001


def test_w001_a_hook_of_saves_in_autocommit() -> None:
    site.DATABASES["default"]["ATOMIC_REQUESTS"] = False
    site.DATABASES["other"]["ATOMIC_REQUESTS"] = False
    with registered(group_hook()), registered(Hook(name="myhook")):
        text = the_only("W001")
    assert "'default'" in text
    assert "ATOMIC_REQUESTS" in text
    with registered(ModelHook(Group, pre_save, name="group")):
        assert said() == []
    with registered(Hook(name="myhook")):
        assert said() == []


# W002, W003


def test_w002_memory_without_debug(good: Settings) -> None:
    good.DURIAN = {"OUTBOX_DATABASES": ["default", "other"]}
    assert "memory://" in the_only("W002")
    good.DEBUG = True
    assert said() == []


def test_w003_in_process_without_debug(good: Settings) -> None:
    with registered(Hook(name="myhook", asynchronous=False)):
        assert "'myhook'" in the_only("W003")
        good.DEBUG = True
        assert said() == []


# W004


def test_w004_a_model_has_no_such_thing() -> None:
    with registered(group_hook(provides_args=["name", "nmae"])):
        text = the_only("W004")
    assert "'group'" in text
    assert "'nmae'" in text
    assert "Group" in text
    there = ["id", "pk", "name", "permissions", "user_set"]
    with registered(group_hook(provides_args=there)):
        assert said() == []


class Counted(ModelHook):
    """Its payload is not what the instance has."""

    def prepare_payload(self, sender: Any, payload: dict[str, Any]) -> dict[str, Any]:
        return {"members": payload["instance"].user_set.count()}


def test_w004_is_not_about_what_a_hook_makes_itself() -> None:
    with registered(Counted(Group, post_save, name="group", provides_args=["members"])):
        assert said() == []

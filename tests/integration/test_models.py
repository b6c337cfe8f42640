"""The models: secrets, validation, and a migration that is up to date."""

import json
import threading
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from durian.database import own_connections
from durian.errors import ConfigurationError
from durian.models import MAX_SECRETS, Attempt, Event, Listener
from durian.signing import Signer, verify

pytestmark = pytest.mark.django_db

URL = "http://where.joe/"


@pytest.fixture
def listener() -> Listener:
    return Listener.objects.create(hook="person", url=URL)


def end_of(listener: Listener) -> datetime | None:
    _, end = listener.signing()
    return end


def stored(listener: Listener) -> str:
    """What the database holds of a listener's secrets."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT secrets FROM durian_listener WHERE id = %s", [listener.pk])
        (text,) = cursor.fetchone()
    return str(text)


def test_the_migration_has_the_models_as_they_are() -> None:
    out = StringIO()
    call_command("makemigrations", "durian", check=True, dry_run=True, stdout=out)
    assert "No changes" in out.getvalue()


# Secrets


def test_a_listener_has_a_secret_of_its_own_from_the_start(listener: Listener) -> None:
    other = Listener.objects.create(hook="person", url=URL)
    (secret,) = listener.signing_secrets()
    assert secret.startswith("whsec_")
    assert other.signing_secrets() != [secret]
    assert Signer([secret])
    listener.save()
    assert Listener.objects.get(pk=listener.pk).signing_secrets() == [secret]


def test_many_made_at_once_have_secrets_too() -> None:
    made = Listener.objects.bulk_create(Listener(hook="person", url=URL) for _ in range(3))
    assert len({tuple(one.signing_secrets()) for one in made}) == 3


def test_a_listener_of_a_fixture_has_a_secret_too() -> None:
    now = timezone.now()
    fields = {"hook": "person", "url": URL, "created_at": now, "updated_at": now}
    fixture = [{"model": "durian.listener", "pk": 7, "fields": fields}]
    for item in serializers.deserialize("python", fixture):
        item.save()
    assert Listener.objects.get(pk=7).signing_secrets()


def test_the_database_does_not_hold_the_secret(listener: Listener) -> None:
    (secret,) = listener.signing_secrets()
    for text in (stored(listener), repr(listener), str(listener), repr(vars(listener))):
        assert secret not in text
        assert secret.removeprefix("whsec_") not in text


def test_a_rotation_signs_with_both_for_a_while(listener: Listener, settings: Settings) -> None:
    settings.DURIAN = {**settings.DURIAN, "SECRET_OVERLAP_HOURS": 2}
    (old,) = listener.signing_secrets()
    assert end_of(listener) is None
    before = timezone.now()
    new = listener.rotate_secret()
    listener.refresh_from_db()
    assert listener.signing_secrets() == [new, old]
    end = end_of(listener)
    assert end is not None
    assert timedelta(hours=2) <= end - before < timedelta(hours=2, minutes=1)
    assert listener.signing_secrets(end - timedelta(seconds=1)) == [new, old]
    assert listener.signing_secrets(end) == [new]
    assert new not in stored(listener)


def test_a_secret_that_leaked_ends_at_once(listener: Listener) -> None:
    listener.rotate_secret(timedelta(hours=9))
    newest = listener.rotate_secret(timedelta(0))
    assert listener.signing_secrets() == [newest]
    assert end_of(listener) is None


def test_a_second_rotation_does_not_prolong_the_first(listener: Listener) -> None:
    (first,) = listener.signing_secrets()
    second = listener.rotate_secret(timedelta(hours=1))
    end = end_of(listener)
    third = listener.rotate_secret(timedelta(hours=5))
    assert listener.signing_secrets() == [third, second, first]
    assert end_of(listener) == end


def test_so_many_rotations_and_no_more(listener: Listener) -> None:
    (first,) = listener.signing_secrets()
    for _ in range(MAX_SECRETS - 1):
        listener.rotate_secret()
    kept = listener.signing_secrets()
    assert kept[-1] == first
    assert len(kept) == MAX_SECRETS
    with pytest.raises(ValidationError, match="10 secrets of this listener are in use"):
        listener.rotate_secret()
    listener.refresh_from_db()
    assert listener.signing_secrets() == kept
    newest = listener.rotate_secret(timedelta(0))
    assert listener.signing_secrets() == [newest]


def test_what_is_signed_with_all_of_them_is_verified(listener: Listener) -> None:
    for _ in range(MAX_SECRETS - 1):
        listener.rotate_secret()
    secrets = listener.signing_secrets()
    headers = Signer(secrets).headers("msg_1", 1_700_000_000, b"{}")
    for secret in secrets:
        verify(headers, b"{}", [secret], now=1_700_000_000)


def test_whose_key_is_lost_can_have_a_new_secret(listener: Listener, settings: Settings) -> None:
    settings.DURIAN = {**settings.DURIAN, "ENCRYPTION_KEYS": ["another"]}
    secret = listener.rotate_secret(timedelta(0))
    assert listener.signing_secrets() == [secret]


@pytest.mark.django_db(transaction=True)
def test_rotations_at_once_lose_no_secret(listener: Listener) -> None:
    made: list[str] = []
    barrier = threading.Barrier(3)

    def rotate() -> None:
        with own_connections():
            mine = Listener.objects.get(pk=listener.pk)
            barrier.wait(20)
            made.append(mine.rotate_secret())

    threads = [threading.Thread(target=rotate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    first = listener.signing_secrets()
    listener.refresh_from_db()
    assert set(listener.signing_secrets()) == {*made, *first}


def test_rotating_changes_nothing_else(listener: Listener) -> None:
    stale = Listener.objects.get(pk=listener.pk)
    listener.description = "mine"
    listener.save()
    stale.rotate_secret()
    listener.refresh_from_db()
    assert listener.description == "mine"


def test_a_lost_key_is_named_and_the_secret_is_not(listener: Listener, settings: Settings) -> None:
    settings.DURIAN = {**settings.DURIAN, "ENCRYPTION_KEYS": ["another"]}
    listener.refresh_from_db()
    with pytest.raises(ConfigurationError, match="ENCRYPTION_KEYS"):
        listener.signing_secrets()


# Validation


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hook", "a b"),
        ("hook", "article.**"),
        ("hook", "x" * 201),
        ("url", "ftp://where.joe/"),
        ("url", "http://10.0.0.1/"),
        ("url", "http://user:password@where.joe/"),
        ("match", {"name": {"$bogus": 1}}),
        ("match", [1]),
        ("config", {"timeout": 99}),
        ("config", [1]),
    ],
)
def test_a_mistake_is_named_by_its_field(listener: Listener, field: str, value: Any) -> None:
    setattr(listener, field, value)
    with pytest.raises(ValidationError) as error:
        listener.full_clean()
    assert [*error.value.message_dict] == [field]


@pytest.mark.parametrize("hook", ["person", "article.*", "#", "a.#.b"])
def test_a_hook_may_be_a_pattern(listener: Listener, hook: str) -> None:
    listener.hook = hook
    listener.full_clean()


def test_a_listener_with_nothing_but_hook_and_url_is_whole(listener: Listener) -> None:
    listener.refresh_from_db()
    assert (listener.match, listener.config, listener.state) == ({}, {}, "active")
    assert listener.created_at <= listener.updated_at
    listener.full_clean()


@pytest.mark.parametrize("empty", [None, [], ""])
def test_whatever_is_empty_is_an_empty_object(empty: Any) -> None:
    listener = Listener(hook="person", url=URL, match=empty, config=empty)
    listener.full_clean()
    listener.save()
    listener.refresh_from_db()
    assert (listener.match, listener.config) == ({}, {})


def test_a_state_that_somebody_else_has_changed_stays(listener: Listener) -> None:
    mine = Listener.objects.get(pk=listener.pk)
    assert listener.set_state(Listener.State.DISABLED, "Disabled by the staff.")
    assert not mine.set_state(Listener.State.PAUSED)
    listener.refresh_from_db()
    assert (listener.state, listener.state_reason) == ("disabled", "Disabled by the staff.")
    mine.refresh_from_db()
    listener.delete()
    assert not mine.set_state(Listener.State.ACTIVE)


def test_who_is_disabled_while_paused_misses_events_since_the_pause(listener: Listener) -> None:
    listener.set_state(Listener.State.PAUSED)
    paused = listener.state_since
    listener.set_state(Listener.State.DISABLED, "gone")
    assert listener.state_since == paused
    listener.set_state(Listener.State.ACTIVE)
    assert listener.state_since > paused


def test_a_state_is_saved_with_its_reason_and_nothing_else(listener: Listener) -> None:
    before = timezone.now()
    stale = Listener.objects.get(pk=listener.pk)
    listener.description = "mine"
    listener.save()
    stale.set_state(Listener.State.DISABLED, "gone")
    listener.refresh_from_db()
    assert (listener.state, listener.state_reason) == ("disabled", "gone")
    assert listener.state_since >= before
    assert listener.description == "mine"
    assert not Listener.objects.active().exists()


def test_a_users_listeners_go_with_the_user() -> None:
    user = User.objects.create_user("joe")
    Listener.objects.create(hook="person", url=URL, user=user)
    user.delete()
    assert not Listener.objects.exists()


def test_rows_say_what_they_are(listener: Listener) -> None:
    event = Event.objects.create(hook="person", body='{"a": 1}')
    attempt = Attempt(hook="person", listener_id=3, number=2, outcome="retry")
    assert str(listener) == f"person → {URL}"
    assert str(event) == f"person {event.pk}"
    assert str(attempt) == "person to listener 3, attempt 2: retry"
    assert event.payload == {"a": 1}


def test_the_body_is_kept_letter_by_letter() -> None:
    body = '{"b": 1, "a": "\\u00e9",   "c": 1.0}'
    Event.objects.create(hook="person", body=body)
    assert Event.objects.get().body == body
    assert Event.objects.get().payload == json.loads(body)

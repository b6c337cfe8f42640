"""`durian rekey`: a new encryption key under a running site, and no secret lost."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from deliverer.targets import target_of
from durian.cli import rekey
from durian.database import own_connections
from durian.models import Listener, ListenerClock

pytestmark = pytest.mark.django_db

OLD, NEW = "the old key, which is to go", "the new key, which is to stay"
SetKeys = Callable[..., None]


@pytest.fixture
def keys(settings: Settings) -> SetKeys:
    """Set the keys of the site, the first for writing."""

    def set_keys(*keys: str) -> None:
        settings.DURIAN = {**settings.DURIAN, "ENCRYPTION_KEYS": list(keys)}

    set_keys(OLD)
    return set_keys


def make() -> Listener:
    return Listener.objects.create(hook="person", url="http://where.joe/")


def secrets() -> dict[int, list[str]]:
    """Every listener's secrets, as the keys of the moment read them."""
    return {one.pk: one.signing_secrets() for one in Listener.objects.all()}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code of the command, and what it printed."""
    code = 0
    try:
        call_command("durian", "rekey", *arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    return code, capsys.readouterr().out


def test_a_key_is_changed_step_by_step(keys: SetKeys, capsys: pytest.CaptureFixture[str]) -> None:
    rotated, _, _ = (make() for _ in range(3))
    rotated.rotate_secret()
    before = secrets()
    keys(NEW, OLD)
    late = make()
    before[late.pk] = late.signing_secrets()
    code, said = run(capsys, "--dry-run")
    assert (code, "3 listeners' secrets would be encrypted anew; 1 were" in said) == (0, True)
    code, said = run(capsys)
    assert code == 0
    assert "3 listeners' secrets were encrypted anew; 1 were under the first key already" in said
    assert "Take the others out of DURIAN['ENCRYPTION_KEYS']" in said
    keys(NEW)
    assert secrets() == before
    assert target_of(Listener.objects.get(pk=rotated.pk), "person").signer


def test_to_run_it_again_changes_nothing(keys: SetKeys, capsys: pytest.CaptureFixture[str]) -> None:
    make()
    keys(NEW, OLD)
    run(capsys)
    kept = list(Listener.objects.values_list("secrets", "version", "updated_at"))
    code, said = run(capsys, "--json")
    assert (code, json.loads(said)["found"]) == (0, {"current": 1, "older": 0, "unreadable": []})
    assert list(Listener.objects.values_list("secrets", "version", "updated_at")) == kept


def test_nobody_reads_the_listeners_anew_for_it(
    keys: SetKeys, capsys: pytest.CaptureFixture[str]
) -> None:
    make()
    keys(NEW, OLD)
    version = ListenerClock.now()
    run(capsys)
    assert ListenerClock.now() == version


def test_whose_key_is_not_there_is_named_and_the_others_go_on(
    keys: SetKeys, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = make()
    keys("another key")
    fine = make()
    keys(NEW, "another key")
    code, said = run(capsys)
    assert code == 1
    assert f"No key decrypts those of 1 listeners ({lost.pk}): put their key back" in said
    keys(NEW)
    assert Listener.objects.get(pk=fine.pk).signing_secrets()
    code, said = run(capsys, "--json")
    assert (code, json.loads(said)["left"]["unreadable"]) == (1, [lost.pk])
    lost.rotate_secret(timedelta(0))
    assert run(capsys)[0] == 0


def test_no_secret_and_no_key_is_printed(keys: SetKeys, capsys: pytest.CaptureFixture[str]) -> None:
    (secret,) = make().signing_secrets()
    keys(NEW, OLD)
    said = run(capsys)[1] + run(capsys, "--json")[1]
    assert not [one for one in (secret, secret[6:], OLD, NEW, "whsec_") if one in said]


def test_it_takes_the_listeners_in_batches(
    keys: SetKeys, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rekey, "BATCH", 10)
    Listener.objects.bulk_create(Listener(hook="person", url="http://a.b/") for _ in range(35))
    before = secrets_by(keys, OLD)
    keys(NEW, OLD)
    with CaptureQueriesContext(connection) as queries:
        run(capsys)
    reads = [one["sql"] for one in queries if one["sql"].startswith("SELECT")]
    assert len(reads) == 2 * 5
    assert all("LIMIT 10" in sql for sql in reads)
    assert secrets_by(keys, NEW) == before


def secrets_by(keys: SetKeys, *chosen: str) -> dict[int, list[str]]:
    keys(*chosen)
    return secrets()


@pytest.mark.django_db(transaction=True)
def test_a_secret_that_is_rotated_meanwhile_is_kept(
    keys: SetKeys, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = make()
    keys(NEW, OLD)
    rotated: list[str] = []
    read = rekey._batches

    def batches_with_a_rotation_after_the_read() -> Any:
        for rows in read():
            if not rotated:
                thread = threading.Thread(target=rotate)
                thread.start()
                thread.join(30)
            yield rows

    def rotate() -> None:
        with own_connections():
            rotated.append(Listener.objects.get(pk=listener.pk).rotate_secret())

    monkeypatch.setattr(rekey, "_batches", batches_with_a_rotation_after_the_read)
    assert run(capsys)[0] == 0
    keys(NEW)
    (first,) = listener_secrets(listener)[1:]
    assert listener_secrets(listener) == [rotated[0], first]


def listener_secrets(listener: Listener) -> list[str]:
    return Listener.objects.get(pk=listener.pk).signing_secrets()


def test_what_a_process_with_the_old_settings_wrote_is_noticed(
    keys: SetKeys, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    (stale,) = Listener.objects.values_list("secrets", flat=True)
    keys(NEW, OLD)
    look = rekey._pass

    def look_and_let_the_other_write(*arguments: Any, **options: Any) -> rekey.Count:
        found = look(*arguments, **options)
        Listener._base_manager.update(secrets=stale)
        return found

    monkeypatch.setattr(rekey, "_pass", look_and_let_the_other_write)
    code, said = run(capsys)
    assert (code, "1 were written with another key meanwhile" in said) == (1, True)

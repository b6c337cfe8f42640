"""Listeners in memory: as fresh as the event that asks for them."""

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from durian import listeners, match
from durian.database import own_connections
from durian.errors import Unavailable
from durian.event import Hook
from durian.listeners import Listeners
from durian.matcher import Matcher
from durian.models import DeletedListener, Listener, ListenerClock
from durian.wire.broker import Incoming
from durian.wire.messages import DeliveryMessage, decode, encode
from durian.wire.outcome import Outcome
from durian.wire.topology import Topology
from tests.integration.site import registered
from tests.servers.free import wait_until
from tests.unit.wire.make import event

pytestmark = pytest.mark.django_db

URL = "http://where.joe/"
PATIENCE = 20.0


@pytest.fixture
def kept() -> Listeners:
    """Listeners that have been read, and are not read again for nothing."""
    kept = Listeners()
    kept.catch_up(ListenerClock.now())
    return kept


class Larger(Hook):
    """Decides by itself, and fails where a listener's filter is no number."""

    name = "person.larger"

    def event_filter(self, sender: Any, payload: Any, match_dict: Any) -> bool:
        """Say whether the total is larger than asked for."""
        return bool(payload["total"] > match_dict["total"])


def make(hook: str = "person", **fields: Any) -> Listener:
    return Listener.objects.create(hook=hook, url=URL, **fields)


def found(kept: Listeners, hook: str = "person", **payload: Any) -> list[int]:
    """Whom an event that is published now reaches."""
    kept.catch_up(ListenerClock.now())
    return sorted(kept.matching(hook, payload))


# Which


@pytest.mark.parametrize(
    "stored",
    [
        '{"a": %s}' % ("1" * 5000),
        '{"a": %s}' % ("[" * 990 + "]" * 990),
        '{"a": {"$bogus": 1}}',
        '{"a": {"$regex": "(a{1000}){1000}"}}',
        '{"a": "%s"}' % ("x" * 70_000),
        "[1]",
        "null",
        "17",
    ],
    ids=lambda text: text[:20],
)
def test_a_filter_that_no_form_took_silences_its_listener_alone(
    stored: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = make(match={"a": 1}), make(match={"a": 1})
    with connection.cursor() as cursor:
        cursor.execute("UPDATE durian_listener SET match = %s WHERE id = %s", [stored, bad.pk])
    kept = Listeners()
    assert found(kept, a=1) == [good.pk]
    assert f"Listener {bad.pk} receives nothing, its filter is invalid" in caplog.text
    with connection.cursor() as cursor:
        cursor.execute("UPDATE durian_listener SET match = '{}' WHERE id = %s", [bad.pk])
    Listener.objects.filter(pk=bad.pk).update(description="mended")
    assert found(kept, a=1) == [bad.pk, good.pk]


def test_a_listener_gets_what_its_hook_and_filter_ask_for(kept: Listeners) -> None:
    every, joe = make(), make(match={"name": "Joe"})
    make("order")
    assert found(kept, name="Joe") == [every.pk, joe.pk]
    assert found(kept, name="Jim") == [every.pk]
    assert found(kept, "nobody.asks") == []


def test_a_pattern_of_hooks_is_as_on_a_topic_exchange(kept: Listeners) -> None:
    one, any_number, every = make("article.*"), make("article.#"), make("#")
    exact = make("article.draft")
    filtered = make("article.*", match={"n": {"$gt": 1}})
    assert found(kept, "article.draft", n=1) == [one.pk, any_number.pk, every.pk, exact.pk]
    assert found(kept, "article.draft", n=2) == [
        one.pk,
        any_number.pk,
        every.pk,
        exact.pk,
        filtered.pk,
    ]
    assert found(kept, "article") == [any_number.pk, every.pk]
    assert found(kept, "article.draft.saved") == [any_number.pk, every.pk]
    assert found(kept, "articles.draft") == [every.pk]


def test_a_hook_with_a_filter_of_its_own_is_asked(kept: Listeners) -> None:
    class Northern(Hook):
        name = "person.north"

        def event_filter(self, sender: Any, payload: Any, match_dict: Any) -> bool:
            assert sender is None
            return bool(payload["region"] == match_dict.get("region", "north"))

    with registered(Northern()):
        plain, south = make("person.north"), make("person.*", match={"region": "south"})
        assert found(kept, "person.north", region="north") == [plain.pk]
        assert found(kept, "person.north", region="south") == [south.pk]
        south.delete()
        assert found(kept, "person.north", region="south") == []


@pytest.mark.django_db(transaction=True)
def test_what_a_filter_of_its_own_asks_may_be_away(kept: Listeners) -> None:
    cut = {
        "postgresql": "SELECT pg_terminate_backend(pg_backend_pid())",
        "sqlite": "SELECT * FROM a_table_to_come",
    }
    # A SQLite is never away: what it says is the query's fault.
    expected = {"postgresql": Unavailable, "sqlite": OperationalError}[connection.vendor]
    statements = [cut[connection.vendor], "SELECT 1"]

    class Asking(Hook):
        name = "person.asking"

        def event_filter(self, sender: Any, payload: Any, match_dict: Any) -> bool:
            with connection.cursor() as cursor:
                cursor.execute(statements.pop(0))
                return bool(cursor.fetchone())

    with registered(Asking()):
        one = make("person.asking")
        kept.refresh()
        with pytest.raises(expected):
            kept.matching("person.asking", {})
        assert kept.matching("person.asking", {}) == [one.pk]


def test_whose_filter_a_hook_cannot_read_keeps_nobody_else_from_the_event(
    kept: Listeners, caplog: pytest.LogCaptureFixture
) -> None:
    with registered(Larger()):
        bad, good = (make("person.larger", match={"total": least}) for least in ("x", 5))
        assert found(kept, "person.larger", total=7) == [good.pk]
        (told,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
        assert told.startswith(f"Listener {bad.pk} receives no event of person.larger: its filter")
        alone = make("person.*", match={"total": "y"})
        assert found(kept, "person.larger", total=7) == [good.pk], "patterns are no other event"
        alone.delete()
        good.delete()
        with pytest.raises(TypeError):
            found(kept, "person.larger", total=7)


def test_of_many_filters_that_fail_alike_one_is_told(
    kept: Listeners, caplog: pytest.LogCaptureFixture
) -> None:
    with registered(Larger()):
        bad = [make("person.larger", match={"total": "x"}) for _ in range(20)]
        good = make("person.larger", match={"total": 5})
        assert found(kept, "person.larger", total=7) == [good.pk]
    (told,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert f"Listener {bad[0].pk} " in told.getMessage()
    assert told.getMessage().endswith("So do those of 19 more.")
    assert "TypeError" in caplog.text


def test_a_stored_filter_that_is_invalid_stops_nobody_else(
    kept: Listeners, caplog: pytest.LogCaptureFixture
) -> None:
    broken, good = make(match={"name": {"$bogus": 1}}), make()
    make("alone.*", match=[1])
    assert found(kept) == [good.pk]
    assert f"Listener {broken.pk} receives nothing, its filter is invalid" in caplog.text
    broken.match = {}
    broken.save()
    assert found(kept) == [broken.pk, good.pk]


def test_they_are_counted(kept: Listeners) -> None:
    make()
    make("article.*")
    make(state=Listener.State.PAUSED)
    found(kept)
    assert len(kept) == 2


# Fresh


def rename(listener: Listener) -> None:
    listener.hook = "article"
    listener.save()


def rename_by_fields(listener: Listener) -> None:
    listener.hook = "article"
    listener.save(update_fields=["hook"])


def update(listener: Listener) -> None:
    Listener.objects.filter(pk=listener.pk).update(hook="article")


def bulk_update(listener: Listener) -> None:
    listener.hook = "article"
    Listener.objects.bulk_update([listener], ["hook"])


def update_or_create(listener: Listener) -> None:
    Listener.objects.update_or_create(pk=listener.pk, defaults={"hook": "article"})


def upsert(listener: Listener) -> None:
    listener.hook = "article"
    Listener.objects.bulk_create(
        [listener], update_conflicts=True, update_fields=["hook"], unique_fields=["id"]
    )


def load(listener: Listener) -> None:
    listener.hook = "article"
    fixture = serializers.serialize("json", [listener])
    for item in serializers.deserialize("json", fixture):
        item.save()


def pause(listener: Listener) -> None:
    listener.set_state(Listener.State.PAUSED)


def delete(listener: Listener) -> None:
    listener.delete()


def delete_queryset(listener: Listener) -> None:
    Listener.objects.filter(pk=listener.pk).delete()


def delete_user(listener: Listener) -> None:
    assert listener.user
    listener.user.delete()


CHANGES: list[Callable[[Listener], None]] = [
    rename,
    rename_by_fields,
    update,
    bulk_update,
    update_or_create,
    upsert,
    load,
    pause,
    delete,
    delete_queryset,
    delete_user,
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_reaches_who_keeps_listeners(
    kept: Listeners, change: Callable[[Listener], None]
) -> None:
    listener = make(user=User.objects.create_user("joe"))
    key, version = listener.pk, ListenerClock.now()
    assert found(kept) == [key]
    change(listener)
    assert ListenerClock.now() > version
    assert found(kept) == []
    stays = Listener.objects.filter(pk=key, state=Listener.State.ACTIVE).exists()
    assert found(kept, "article") == ([key] if stays else [])


CREATIONS: list[Callable[[], object]] = [
    lambda: make(),
    lambda: Listener(hook="person", url=URL).save(),
    lambda: Listener.objects.bulk_create([Listener(hook="person", url=URL)]),
    lambda: Listener.objects.get_or_create(hook="person", url=URL),
    lambda: Hook("person").add_listener(URL),
    lambda: load(Listener(pk=7, url=URL, created_at=timezone.now(), updated_at=timezone.now())),
]


@pytest.mark.parametrize("create", CREATIONS)
def test_a_new_listener_never_misses_an_event_that_follows(
    kept: Listeners, create: Callable[[], object]
) -> None:
    assert found(kept) == []
    create()
    assert len(found(kept, "person") + found(kept, "article")) == 1


def test_a_listener_that_is_resumed_is_found_again(kept: Listeners) -> None:
    listener = make(state=Listener.State.PAUSED)
    assert found(kept) == []
    listener.set_state(Listener.State.ACTIVE)
    assert found(kept) == [listener.pk]


def test_a_listener_may_come_back_under_its_old_number(kept: Listeners) -> None:
    listener = make()
    key = listener.pk
    assert found(kept) == [key]
    listener.delete()
    make(pk=key)
    assert found(kept) == [key]
    assert DeletedListener.objects.filter(pk=key).exists()


def test_whose_it_was_is_kept_however_long_the_key_of_a_sites_user() -> None:
    email = f"{'a' * 64}@{'b' * 189}"
    DeletedListener.objects.create(pk=1, version=1, owner=email)
    assert DeletedListener.objects.get(owner=email).pk == 1


class Partner(Listener):
    """What a site makes of listeners for a page of its own."""

    class Meta:
        app_label = "partners"
        proxy = True


@pytest.mark.parametrize("which", [lambda: Partner.objects.get(), lambda: Partner.objects.all()])
def test_what_is_deleted_through_a_proxy_is_not_found(
    kept: Listeners, which: Callable[[], Any]
) -> None:
    listener = make()
    assert found(kept) == [listener.pk]
    which().delete()
    assert found(kept) == []


def test_what_was_rolled_back_is_not_seen(kept: Listeners) -> None:
    listener = make()
    assert found(kept) == [listener.pk]
    with transaction.atomic():
        make()
        listener.delete()
        transaction.set_rollback(True)
    assert found(kept) == [Listener.objects.get().pk]


def test_nothing_is_read_while_nothing_changed(
    kept: Listeners, django_assert_num_queries: Any
) -> None:
    make()
    version = ListenerClock.now()
    kept.catch_up(version)
    with django_assert_num_queries(0):
        kept.catch_up(version)
        kept.catch_up(version - 1)


def test_a_database_restored_from_a_backup_is_noticed() -> None:
    kept, backup = Listeners(), make()
    backed_up = ListenerClock.now()
    later = make()
    assert found(kept) == [backup.pk, later.pk]
    Listener.objects.filter(pk=later.pk)._raw_delete("default")
    ListenerClock.objects.update(version=backed_up)
    kept.refresh()
    assert found(kept) == [backup.pk]
    newest = make()
    assert found(kept) == [backup.pk, newest.pk]


def test_a_fixture_of_an_earlier_time_is_noticed(kept: Listeners, tmp_path: Path) -> None:
    first, second = make().pk, make().pk
    fixture = tmp_path / "durian.json"
    call_command("dumpdata", "durian", output=str(fixture))
    Listener.objects.get(pk=second).delete()
    for _ in range(5):
        make().delete()
    assert found(kept) == [first]
    call_command("loaddata", str(fixture), verbosity=0)
    assert found(kept) == [first, second]


def test_events_from_beyond_a_restored_database_ask_it_once(
    kept: Listeners,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    monkeypatch.setattr(listeners, "LOOK_SECONDS", 60.0)
    beyond = ListenerClock.now() + 100
    with django_assert_num_queries(1):
        for _ in range(10):
            kept.catch_up(beyond)
    with django_assert_num_queries(1):
        kept.catch_up(beyond + 1)
    monkeypatch.setattr(listeners, "LOOK_SECONDS", 0.0)
    with django_assert_num_queries(3):
        for _ in range(3):
            kept.catch_up(beyond + 2)


def test_what_was_known_before_a_backup_was_restored_takes_no_memory() -> None:
    kept = Listeners()
    for number in range(50):
        make(match={"name": f"Joe {number}"})
    kept.refresh()
    before = filed()
    ListenerClock.objects.update(version=ListenerClock.now() - 1)
    kept.refresh()
    assert filed() <= before * 1.1


def filed() -> int:
    """Count what of the index is in memory, also what the garbage collector shall not look at."""
    gc.unfreeze()
    kinds = [str(getattr(type(one), "__module__", "")) for one in gc.get_objects()]
    return sum(kind.startswith("durian.match") for kind in kinds)


class Replica:
    """A router to a replica that has nothing yet."""

    def db_for_read(self, model: type, **hints: Any) -> str:
        return "other"

    def db_for_write(self, model: type, **hints: Any) -> str:
        return "default"


@pytest.mark.django_db(databases=["default", "other"])
def test_a_replica_that_lags_is_not_asked(settings: Settings, kept: Listeners) -> None:
    settings.DATABASE_ROUTERS = [Replica()]
    listener = make()
    assert found(kept) == [listener.pk]
    Listener.objects.filter(pk=listener.pk).update(hook="article")
    assert found(kept, "article") == [listener.pk]
    Listener.objects.bulk_create([Listener(hook="person", url=URL)])
    assert len(found(kept)) == 1


def test_a_database_without_tables_is_told_from_one_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ListenerClock._meta, "db_table", "durian_none")
    says = r"^The database 'default' lacks what migrations make: .*durian_none.*migrate`\.$"
    with transaction.atomic(), pytest.raises(Unavailable, match=says):
        Listeners().catch_up(0)


# The version


def test_the_first_change_starts_the_clock_ahead_of_any_other() -> None:
    assert ListenerClock.now() == 0
    first = make().version
    assert first == ListenerClock.now() > 1_700_000_000_000_000
    assert make().version == first + 1
    ListenerClock.objects.all().delete()
    assert make().version > first + 1


@pytest.fixture
def threads() -> Iterator[Callable[[Callable[[], None]], threading.Thread]]:
    started: list[threading.Thread] = []

    def start(target: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            with own_connections():
                target()

        thread = threading.Thread(target=run)
        thread.start()
        started.append(thread)
        return thread

    yield start
    for thread in started:
        thread.join(PATIENCE)
        assert not thread.is_alive()


Start = Callable[[Callable[[], None]], threading.Thread]


@pytest.mark.django_db(transaction=True)
def test_writers_at_once_get_versions_in_the_order_of_their_commits(threads: Start) -> None:
    """Whoever has seen version n has seen every listener up to n."""
    kept, stop = Listeners(), threading.Event()

    def write() -> None:
        for _ in range(25):
            with transaction.atomic():
                make()

    def read() -> None:
        while not stop.is_set():
            version = ListenerClock.now()
            kept.catch_up(version)
            missing = set(
                Listener.objects.filter(version__lte=version).values_list("pk", flat=True)
            )
            if missing - set(kept.matching("person", {})):
                gaps.append(version)

    gaps: list[int] = []
    reader = threads(read)
    writers = [threads(write) for _ in range(3)]
    for writer in writers:
        writer.join(PATIENCE)
    stop.set()
    reader.join(PATIENCE)
    versions = list(Listener.objects.order_by("version").values_list("version", flat=True))
    assert versions == [*range(versions[0], versions[0] + 75)]
    assert gaps == []
    assert found(kept) == sorted(Listener.objects.values_list("pk", flat=True))


@pytest.mark.django_db(transaction=True)
def test_saving_and_deleting_at_once_do_not_lock_each_other_out(threads: Start) -> None:
    keys = [make().pk for _ in range(20)]
    errors: list[Exception] = []

    def attempt(change: Callable[[int], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                for key in keys:
                    change(key)
            except Exception as error:
                errors.append(error)

        return run

    def touch(key: int) -> None:
        Listener.objects.filter(pk=key).update(description="touched")

    one = threads(attempt(touch))
    two = threads(attempt(lambda key: Listener.objects.filter(pk=key).delete()))
    one.join(PATIENCE)
    two.join(PATIENCE)
    assert errors == []
    assert not Listener.objects.exists()


# Applied beforehand, in a thread of its own


@pytest.fixture
def watched(kept: Listeners, threads: Start) -> Iterator[Listeners]:
    thread = threads(kept.watch)
    yield kept
    kept.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.django_db(transaction=True)
def test_changes_are_applied_before_an_event_asks(
    watched: Listeners, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listener = make()
    wait_until(lambda: watched.matching("person", {}) == [listener.pk], PATIENCE, "it is known")
    with monkeypatch.context() as away:
        away.setattr(ListenerClock._meta, "db_table", "no_such_table")
        wait_until(lambda: "are not seen for now" in caplog.text, PATIENCE, "it is said")
    listener.delete()
    wait_until(lambda: not watched.matching("person", {}), PATIENCE, "it is known to be gone")


class Gate:
    """In the place of `match.parse`: the second filter is read when somebody lets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self._parse, self._calls = match.parse, 0
        monkeypatch.setattr(match, "parse", self)

    def __call__(self, form: object, length: int) -> match.Filter:
        self._calls += 1
        if self._calls == 2:
            self.reached.set()
            assert self.opened.wait(PATIENCE)
        return self._parse(form, length)


@pytest.mark.django_db(transaction=True)
def test_events_go_on_while_changes_are_applied_that_they_need_not_know(
    kept: Listeners, threads: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, before = make(), ListenerClock.now()
    kept.catch_up(before)
    new = sorted(make().pk for _ in range(3))
    gate, found = Gate(monkeypatch), list[int]()

    def ask(version: int) -> Callable[[], None]:
        def run() -> None:
            if kept.is_behind(version):
                kept.catch_up(version)
            found.extend(kept.matching("person", {}))

        return run

    watching = threads(kept.refresh)
    assert gate.reached.wait(PATIENCE)
    threads(ask(before)).join(PATIENCE)
    assert old.pk in found
    found.clear()
    event = threads(ask(ListenerClock.now()))
    event.join(0.2)
    assert (event.is_alive(), found) == (True, [])
    gate.opened.set()
    event.join(PATIENCE)
    watching.join(PATIENCE)
    assert sorted(found) == [old.pk, *new]


@pytest.mark.django_db(transaction=True)
def test_events_wait_while_a_restored_database_is_read(
    kept: Listeners, threads: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make(), make()
    kept.catch_up(ListenerClock.now())
    ListenerClock.objects.update(version=ListenerClock.now() - 1)
    Listener.objects.filter(pk=one.pk)._raw_delete("default")
    stays = Listener(pk=other.pk + 1, hook="person", url=URL, version=1)
    stays.save_base(force_insert=True)
    gate, found = Gate(monkeypatch), list[int]()

    def ask() -> None:
        kept.catch_up(0)
        found.extend(kept.matching("person", {}))

    watching = threads(kept.refresh)
    assert gate.reached.wait(PATIENCE)
    event = threads(ask)
    event.join(0.2)
    assert (event.is_alive(), found) == (True, [])
    gate.opened.set()
    event.join(PATIENCE)
    watching.join(PATIENCE)
    assert sorted(found) == [other.pk, stays.pk]


# Out of the garbage collector's way


@pytest.fixture
def thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("thawed")
def test_no_collection_looks_at_listeners_that_were_read() -> None:
    make()
    Listeners().catch_up(ListenerClock.now())
    assert gc.get_freeze_count()


@pytest.mark.usefixtures("thawed")
def test_nor_at_many_that_have_changed(kept: Listeners, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "MANY_CHANGES", 2)
    gc.unfreeze()
    for _ in range(3):
        assert not gc.get_freeze_count()
        make()
        found(kept)
    make()
    found(kept)
    assert gc.get_freeze_count()


def test_a_reading_that_failed_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is deleted between two attempts at the first reading is not in memory."""
    gone, stays = make(), make()
    parse, fresh = match.parse, Listeners()

    def fail_at_second(form: object, length: int) -> match.Filter:
        monkeypatch.setattr(match, "parse", fail)
        return parse(form, length)

    def fail(form: object, length: int) -> match.Filter:
        raise RuntimeError("the database is away")

    monkeypatch.setattr(match, "parse", fail_at_second)
    with pytest.raises(RuntimeError):
        fresh.catch_up(ListenerClock.now())
    monkeypatch.setattr(match, "parse", parse)
    Listener.objects.filter(pk=gone.pk).delete()
    assert found(fresh) == [stays.pk]


@pytest.mark.django_db(transaction=True)
def test_an_event_behind_is_caught_up_beside_one_that_is_beyond_a_restored_database(
    kept: Listeners,
) -> None:
    kept.refresh()
    matcher, beyond = Matcher(kept, Topology()), ListenerClock.now() + 1000

    def message(version: int) -> Incoming:
        raised = event(hook="person", body="{}", envelope="plain", listeners=version)
        return Incoming(1, encode(raised), {}, False, "match")

    matcher.read([message(beyond)])
    new = make()
    behind = message(ListenerClock.now())
    assert matcher.wants(behind)
    matcher.read([message(beyond), behind])
    answers = list[Outcome]()
    matcher(behind, answers.append)
    (delivery,) = answers[0].publish
    assert decode(DeliveryMessage, delivery.body).listener == new.pk

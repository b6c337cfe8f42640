"""The log of attempts, who is gone, and who is called."""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from itertools import chain, repeat
from typing import Any

import pytest
from django.db import OperationalError, ProgrammingError
from django.db.models import QuerySet
from django.db.models.signals import post_save
from django.utils import timezone as clock
from pytest_django.fixtures import Settings

from deliverer import log as log_module
from deliverer import targets as targets_module
from deliverer.gone import LOOK_SECONDS, Disabler
from deliverer.inprocess import deliver_now
from deliverer.insert import insert
from deliverer.log import Log
from deliverer.made import Made
from deliverer.row import Row
from deliverer.targets import Targets, target_of
from durian import roles
from durian.errors import AddressRefused, Unavailable
from durian.models import Attempt, Event, Listener
from durian.signals import listener_disabled
from tests.integration.delivering import listener
from tests.servers.free import wait_until
from tests.servers.receiver import Answer, Receiver

pytestmark = pytest.mark.django_db(transaction=True)

Told = list[tuple[int, str]]


def attempt(**fields: Any) -> Row:
    values: dict[str, Any] = {
        "delivery": str(uuid.uuid4()),
        "run": "",
        "number": 1,
        "event": str(uuid.uuid4()),
        "listener_id": 7,
        "hook": "order.paid",
        "outcome": Attempt.Outcome.DELIVERED,
        "status": 200,
        "duration_ms": 12,
        "error": "",
        "answer": b"",
        "started_at": datetime.now(timezone.utc),
    }
    return Row(**values | fields)


def write_all(attempts: list[Row], days: int = 0) -> int:
    """Write `attempts` by a log of its own; return how many were said to be done.

    Who is gone is disabled, or has taken nothing for so many days.
    """
    disabler, done = Disabler(days), threading.Semaphore(0)
    log = Log(disabler.note)
    for one in attempts:
        log.write(one, done.release)
    log.start()
    log.stop(within=10)
    disabler.stop()
    disabler.run()
    return sum(done.acquire(blocking=False) for _ in attempts)


class Outage:
    """While it lasts the log's database is away; `tries` counts how often that was found."""

    def __init__(self) -> None:
        self.tries = 0
        self._over = threading.Event()
        self.end = self._over.set

    def insert(self, rows: Sequence[Row]) -> None:
        """Do what the log's own function does, when the database is there."""
        self.tries += 1
        if not self._over.is_set():
            raise Unavailable("The database is away.")
        insert(rows)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    """One that has begun."""
    one = Outage()
    monkeypatch.setattr(log_module, "insert", one.insert)
    return one


@contextmanager
def hearing(hear: Callable[..., None]) -> Iterator[None]:
    """Have `hear` called when a listener is disabled."""
    listener_disabled.connect(hear)
    try:
        yield
    finally:
        listener_disabled.disconnect(hear)


def test_attempts_are_written_before_they_are_done() -> None:
    assert write_all([attempt() for _ in range(1200)]) == 1200
    assert Attempt.objects.count() == 1200


def test_a_log_that_is_to_end_goes_easy_on_a_database_that_is_away(outage: Outage) -> None:
    log, done = Log(), threading.Event()
    log.write(attempt(), done.set)
    log.start()
    threading.Timer(1.0, outage.end).start()
    log.stop(within=30.0)
    assert 2 < outage.tries < 20
    assert done.is_set(), "it was written when the database was back"
    assert Attempt.objects.count() == 1


@pytest.mark.usefixtures("outage")
def test_a_log_that_is_to_end_does_so_in_time_though_the_database_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    others = set(threading.enumerate())
    log, done = Log(), threading.Event()
    log.write(attempt(), done.set)
    log.start()
    log.stop(within=0.3)
    assert "1 attempts were not logged" in caplog.text
    wait_until(lambda: others >= set(threading.enumerate()), 10, "its thread has ended")
    assert not done.is_set()


def test_what_waits_to_be_written_counts_as_logged_and_what_is_dropped_does_not(
    outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def has(row: Row, run: str = "", number: int = 1) -> bool:
        made, key = Made(log), (row.delivery, run, number)
        made.read([key])
        return bool(made.has(key))

    log, done = Log(), threading.Semaphore(0)
    first, second = attempt(), attempt()
    assert not has(first)
    log.write(first, done.release)
    assert has(first)
    assert not has(first, number=2)
    assert not has(first, run="again")
    log.start()
    monkeypatch.setattr(log_module, "MAX_KEPT", 1)
    log.write(second, done.release)
    wait_until(lambda: not has(first), 10, "the older one is dropped")
    assert has(second)
    outage.end()
    log.stop(within=10)
    assert has(second), "it is in the database now"


def test_the_log_is_asked_once_about_all_that_has_arrived(
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    rows = [attempt(run="again", number=number) for number in (1, 2, 3)]
    write_all(rows)
    logged = [(row.delivery, row.run, row.number) for row in rows]
    others = [(row.delivery, "", row.number) for row in rows]
    others += [(row.delivery, row.run, row.number + 1) for row in rows]
    made = Made(Log())
    with django_assert_num_queries(1):
        made.read([*logged, *others])
        made.read([])
        assert all(map(made.has, logged))
        assert not any(map(made.has, others))


def test_what_was_read_is_believed_once() -> None:
    row = attempt()
    key, log = (row.delivery, row.run, row.number), Log()
    made = Made(log)
    made.read([key])
    log.write(row, lambda: None)
    assert made.has(key), "it waits to be written"
    made.read([key])
    assert made.has(key)
    made.read([key])
    log.start()
    log.stop(within=10)
    assert made.has(key), "it waited then, and has been written since"
    assert made.has(key) is None, "it has to be asked for anew"
    made.read([key])
    assert made.has(key)


def test_what_an_attempt_came_to_is_in_the_log() -> None:
    failed = {"outcome": Attempt.Outcome.RETRY, "status": 500, "error": 'ünïcode\t\\N "x"'}
    one = attempt(run="again", number=3, answer=b"\x00\xff\\", **failed)
    assert write_all([one, attempt(status=None)]) == 2
    logged, other = Attempt.objects.order_by("pk")
    kept = {name: getattr(logged, name) for name in Row._fields}
    ids = {"delivery": uuid.UUID(one.delivery), "event": uuid.UUID(one.event)}
    assert kept | {"answer": bytes(kept["answer"])} == one._asdict() | ids
    assert other.status is None
    assert {field.attname for field in Attempt._meta.concrete_fields} == {"id", *Row._fields}


def test_a_site_whose_times_have_no_zone_has_a_log_too(settings: Settings) -> None:
    settings.USE_TZ = False
    one = attempt()
    assert write_all([one]) == 1
    assert Attempt.objects.get().started_at == clock.make_naive(one.started_at)


def test_a_row_that_the_database_refuses_is_dropped_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = [attempt() for _ in range(20)]
    assert write_all([*good[:10], attempt(listener_id=None), *good[10:]]) == 21
    assert Attempt.objects.count() == 20
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert "dropped" in record.getMessage()


def test_who_answers_410_is_disabled_with_notice() -> None:
    gone, other = listener("http://127.0.0.1/gone"), listener("http://127.0.0.1/other")
    told: Told = []

    def hear(listener: Listener, reason: str, **_: Any) -> None:
        told.append((listener.pk, reason))

    with hearing(hear):
        for _ in range(2):
            dead = {"outcome": Attempt.Outcome.DEAD, "status": 410, "listener_id": gone.pk}
            write_all([attempt(**dead), attempt(listener_id=other.pk)])
    gone.refresh_from_db()
    other.refresh_from_db()
    assert (gone.state, other.state) == (Listener.State.DISABLED, Listener.State.ACTIVE)
    assert told == [(gone.pk, gone.state_reason)]
    assert "410 Gone" in gone.state_reason


def test_a_site_that_fails_to_take_the_notice_stops_nothing() -> None:
    gone = listener("http://127.0.0.1/gone")

    def fail(**_: Any) -> None:
        raise RuntimeError("no mail today")

    with hearing(fail):
        assert write_all([attempt(status=410, listener_id=gone.pk), attempt()]) == 2
    assert Attempt.objects.count() == 2
    gone.refresh_from_db()
    assert gone.state == Listener.State.DISABLED


@pytest.mark.parametrize("error", [RuntimeError, ProgrammingError])
def test_a_site_that_lets_nobody_disable_a_listener_stops_nothing(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    gone = listener("http://127.0.0.1/gone")

    def refuse(**_: Any) -> None:
        raise error("the audit says no")

    post_save.connect(refuse, sender=Listener)
    try:
        assert write_all([attempt(status=410, listener_id=gone.pk), attempt()]) == 2
    finally:
        post_save.disconnect(refuse, sender=Listener)
    assert Attempt.objects.count() == 2
    assert f"Listener {gone.pk} cannot be disabled" in caplog.text
    assert "the audit says no" in caplog.text


def test_the_log_waits_for_nobody_who_has_to_be_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction of the site's may keep a listener from being changed for long."""
    gone, free = listener("http://127.0.0.1/gone"), threading.Event()
    set_state = Listener.set_state

    def wait(*arguments: Any) -> bool:
        assert free.wait(30)
        return set_state(*arguments)

    monkeypatch.setattr(Listener, "set_state", wait)
    disabler, done = Disabler(0), threading.Semaphore(0)
    log = Log(disabler.note)
    log.start()
    disabling = roles.start_thread(disabler.run, "disabler")
    try:
        for status in (410, 200, 410, 200):
            log.write(attempt(status=status, listener_id=gone.pk), done.release)
            assert done.acquire(timeout=10)
    finally:
        free.set()
        log.stop(within=10)
        disabler.stop()
        disabling.join(10)
    gone.refresh_from_db()
    assert gone.state == Listener.State.DISABLED


def test_who_is_gone_while_the_database_is_away_is_disabled_by_a_later_answer(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = listener("http://127.0.0.1/gone")

    def away(listeners: object) -> list[Listener]:
        raise OperationalError("it is away")

    with monkeypatch.context() as patch:
        patch.setattr("deliverer.gone._active", away)
        assert write_all([attempt(status=410, listener_id=gone.pk)]) == 1
    assert "seen by a later answer" in caplog.text
    assert write_all([attempt(status=410, listener_id=gone.pk)]) == 1
    gone.refresh_from_db()
    assert gone.state == Listener.State.DISABLED


def ago(**age: float) -> datetime:
    return datetime.now(timezone.utc) - timedelta(**age)


def unchanged(url: str = "http://127.0.0.1/", days: float = 30) -> Listener:
    """Return a listener that nobody has changed for so many days."""
    one = listener(url)
    Listener.objects.filter(pk=one.pk).update(updated_at=ago(days=days))
    return one


def dies(to: Listener) -> str:
    """Let a delivery die, and return the state that its listener is in then."""
    write_all([attempt(listener_id=to.pk, outcome="dead", status=None)], days=5)
    to.refresh_from_db()
    return to.state


def test_who_has_taken_nothing_for_days_is_disabled_with_notice_and_can_be_resumed() -> None:
    to, told = unchanged(), Told()
    write_all([attempt(listener_id=to.pk, outcome="dead", status=500, started_at=ago(days=6))])

    def hear(listener: Listener, reason: str, **_: Any) -> None:
        told.append((listener.pk, reason))

    with hearing(hear):
        assert dies(to) == Listener.State.DISABLED
    assert told == [(to.pk, to.state_reason)]
    assert "5 days" in to.state_reason
    to.set_state(Listener.State.ACTIVE)
    assert dies(to) == Listener.State.ACTIVE


@pytest.mark.parametrize(
    "earlier",
    [
        {},
        {"outcome": "dead", "started_at": ago(days=4)},
        {"outcome": "delivered", "started_at": ago(days=6)},
        {"outcome": "delivered", "started_at": ago(days=1)},
        {"outcome": "cancelled", "started_at": ago(days=6)},
        {"outcome": "dead", "started_at": ago(days=40)},
    ],
    ids=["first", "not long", "succeeded before", "succeeded since", "was paused", "was changed"],
)
def test_who_has_not_failed_for_so_long_stays(earlier: dict[str, Any]) -> None:
    to = unchanged()
    failed = {"outcome": "dead", "status": 500}
    if earlier.get("outcome") == "delivered" and earlier["started_at"] > ago(days=5):
        write_all([attempt(listener_id=to.pk, started_at=ago(days=6), **failed)])
    if earlier:
        write_all([attempt(listener_id=to.pk, **earlier)])
    assert dies(to) == Listener.State.ACTIVE


def test_a_success_in_the_same_batch_counts() -> None:
    to = unchanged()
    failed = {"listener_id": to.pk, "outcome": "dead", "status": 500}
    write_all([attempt(started_at=ago(days=6), **failed)])
    write_all([attempt(**failed), attempt(listener_id=to.pk)], days=5)
    to.refresh_from_db()
    assert to.state == Listener.State.ACTIVE


def test_nobody_is_disabled_by_time_when_that_is_switched_off() -> None:
    to = unchanged()
    failed = {"listener_id": to.pk, "outcome": "dead", "status": 500}
    write_all([attempt(started_at=ago(days=6), **failed)])
    write_all([attempt(**failed)], days=0)
    to.refresh_from_db()
    assert to.state == Listener.State.ACTIVE


def test_a_listener_is_looked_at_once_an_hour(
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    now = [0.0]
    disabler = Disabler(5, clock=lambda: now[0])
    dead = attempt(listener_id=unchanged().pk, outcome="dead")
    disabler.stop()
    for queries in (2, 0, 2):
        with django_assert_num_queries(queries):
            disabler.note([dead])
            disabler.run()
        now[0] += LOOK_SECONDS / 2


def assert_changes_are_seen(targets: Targets, one: Listener, two: Listener) -> None:
    """Change a listener, delete another, and find that `targets` has to read them anew."""
    one.url = "http://127.0.0.1/moved"
    one.save()
    two.delete()
    targets.refresh()
    assert not any(targets.knows(each.pk) for each in (one, two))
    targets.read([one.pk, two.pk])
    moved = targets.get(one.pk, one.hook)
    assert moved is not None
    assert moved.template.url == one.url
    assert targets.get(two.pk, two.hook) is None


def test_targets_are_kept_until_their_listener_changes(
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    one, two = listener("http://127.0.0.1/one"), listener("http://127.0.0.1/two")
    targets = Targets()
    targets.refresh()
    targets.read([one.pk, two.pk])
    for each in (one, two):
        targets.get(each.pk, each.hook)
    with django_assert_num_queries(0):
        assert targets.get(one.pk, one.hook) is not None
    assert_changes_are_seen(targets, one, two)


def test_listeners_are_read_together(
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    everybody = [listener(f"http://127.0.0.1/{number}") for number in range(12)]
    targets = Targets()
    targets.refresh()
    with django_assert_num_queries(1):
        targets.read([one.pk for one in everybody])
        targets.read([])
        found = [targets.get(one.pk, one.hook) for one in everybody]
    assert [one and one.template.url for one in found] == [one.url for one in everybody]


def test_what_was_read_is_forgotten_when_it_changes() -> None:
    one, two = listener("http://127.0.0.1/one"), listener("http://127.0.0.1/two")
    targets = Targets()
    targets.refresh()
    targets.read([one.pk, two.pk])
    assert_changes_are_seen(targets, one, two)


def test_who_gets_nothing_is_read_once_for_all_that_arrives_together(
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    paused, guarded = listener("http://127.0.0.1/paused"), listener("http://10.1.2.3/")
    paused.set_state(Listener.State.PAUSED)
    targets = Targets()
    targets.refresh()
    with django_assert_num_queries(1):
        targets.read([paused.pk, guarded.pk, 987_654])
        for _ in range(3):
            target = targets.get(paused.pk, paused.hook)
            assert target is not None
            assert target.state == Listener.State.PAUSED
            assert targets.get(987_654, paused.hook) is None
            with pytest.raises(AddressRefused):
                targets.get(guarded.pk, guarded.hook)


def resumed_since() -> tuple[Listener, Targets]:
    """Return a listener and who has read it while it was paused; it has been resumed since."""
    one = listener("http://127.0.0.1/one")
    one.set_state(Listener.State.PAUSED)
    targets = Targets()
    targets.refresh()
    targets.read([one.pk])
    one.set_state(Listener.State.ACTIVE)
    return one, targets


def assert_is_active(targets: Targets, one: Listener) -> None:
    target = targets.get(one.pk, one.hook)
    assert target is not None
    assert target.state == Listener.State.ACTIVE


def test_who_is_paused_is_read_anew_for_what_arrives_later() -> None:
    one, targets = resumed_since()
    targets.read([one.pk])
    assert_is_active(targets, one)


def test_who_was_paused_is_not_believed_to_be_so_for_what_arrives_later() -> None:
    one, targets = resumed_since()
    assert not targets.knows(one.pk)


def test_a_change_of_one_listener_leaves_what_was_read_of_others(
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    one, other = listener("http://127.0.0.1/one"), listener("http://127.0.0.1/other")
    targets = Targets()
    targets.refresh()
    targets.read([one.pk])
    other.save()
    targets.refresh()
    with django_assert_num_queries(0):
        assert targets.get(one.pk, one.hook) is not None


def test_a_secret_whose_time_is_over_signs_no_more() -> None:
    one = listener("http://127.0.0.1/one")
    one.rotate_secret(overlap=timedelta(seconds=0.5))
    targets = Targets()
    targets.read([one.pk])

    def secrets() -> str:
        return repr((target := targets.get(one.pk, one.hook)) and target.signer)

    assert "2 secrets" in secrets()
    wait_until(lambda: "1 secret" in secrets(), 5, "the old one is out of use")


def test_a_listener_is_read_once_for_all_hooks(
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    one, targets = listener("http://127.0.0.1/one", hook="*"), Targets()
    targets.refresh()
    assert not targets.knows(one.pk)
    with pytest.raises(Unavailable, match=str(one.pk)):
        targets.get(one.pk, "order.paid")
    targets.read([one.pk])
    with django_assert_num_queries(0):
        for hook in ("order.paid", "order.sent"):
            assert targets.knows(one.pk)
            assert targets.get(one.pk, hook) is not None


def test_how_many_are_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets_module, "MAX_KEPT", 2)
    everybody = [listener(f"http://127.0.0.1/{number}") for number in range(3)]
    targets = Targets()
    for one in everybody:
        targets.read([one.pk])
    assert [targets.knows(one.pk) for one in everybody] == [False, True, True]


def test_a_secret_that_ends_while_its_listener_is_read_is_not_kept_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = listener("http://127.0.0.1/one")
    one.rotate_secret(overlap=timedelta(hours=1))
    _, end = one.signing()
    assert end is not None
    just_before = end - timedelta(microseconds=1)
    moments = chain([just_before], repeat(end))
    monkeypatch.setattr(clock, "now", lambda: next(moments))
    target = target_of(one, one.hook)
    assert "2 secrets" in repr(target.signer)
    assert target.good_until == end


def test_in_this_process_everybody_gets_one_attempt(receiver: Receiver) -> None:
    receiver.answer("/sorry", Answer(500))
    event = Event.objects.create(hook="order.paid", body='{"total": 1}')
    well = listener(receiver.url("/well"))
    forbidden, sorry = listener("http://10.0.0.1/"), listener(receiver.url("/sorry"))
    everybody = [forbidden, sorry, well]
    attempts = deliver_now(event, everybody, roles.http_settings())
    assert [(one.outcome, one.status) for one in attempts] == [
        ("dead", None),
        ("dead", 500),
        ("delivered", 200),
    ]
    assert "10.0.0.1" in attempts[0].error
    assert [request.body for request in receiver.requests] == [b'{"total": 1}'] * 2
    logged = Attempt.objects.order_by("pk").values_list("listener_id", "outcome")
    assert list(logged) == [(one.listener_id, one.outcome) for one in attempts]


def test_what_has_waited_for_too_long_is_done_once_and_written_when_the_database_is_back(
    outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "PATIENCE_SECONDS", 0.0)
    log, done = Log(), threading.Semaphore(0)
    log.write(attempt(), done.release)
    log.start()
    try:
        assert done.acquire(timeout=10), "its message is acked"
        wait_until(lambda: outage.tries > 2, 10, "it has failed again")
        assert not Attempt.objects.exists()
        outage.end()
    finally:
        log.stop(within=10)
    assert Attempt.objects.count() == 1
    assert not done.acquire(blocking=False)


def test_what_could_not_be_written_comes_before_what_has_come_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, third = attempt(), attempt(), attempt()
    written: list[Row] = []

    def fail_once(rows: Sequence[Row]) -> None:
        monkeypatch.setattr(log_module, "insert", insert)
        log.write(third, lambda: None)
        raise Unavailable("The database is away.")

    monkeypatch.setattr(log_module, "insert", fail_once)
    log = Log(written.extend)
    for one in (first, second):
        log.write(one, lambda: None)
    log.start()
    log.stop(within=10)
    assert written == [first, second, third]


def test_what_changes_while_it_is_read_is_not_kept_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, targets = listener("http://127.0.0.1/one"), Targets()
    targets.refresh()
    read = QuerySet.in_bulk

    def read_and_change(*arguments: Any) -> Any:
        found = read(*arguments)
        monkeypatch.setattr(QuerySet, "in_bulk", read)
        changed = Listener.objects.get(pk=one.pk)
        changed.url = "http://127.0.0.1/moved"
        changed.save()
        targets.refresh()
        return found

    monkeypatch.setattr(QuerySet, "in_bulk", read_and_change)
    targets.read([one.pk])
    moved = targets.get(one.pk, one.hook)
    assert moved is not None
    assert moved.template.url == "http://127.0.0.1/moved"


def test_while_others_change_a_reading_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, targets = listener("http://127.0.0.1/one"), listener("http://127.0.0.1/"), Targets()
    targets.refresh()
    read, readings = QuerySet.in_bulk, list[set[int]]()

    def read_and_change(self: Any, pks: set[int]) -> Any:
        readings.append(set(pks))
        found = read(self, pks)
        other.save()
        targets.refresh()
        return found

    monkeypatch.setattr(QuerySet, "in_bulk", read_and_change)
    targets.read([one.pk])
    assert readings == [{one.pk}]
    assert targets.knows(one.pk)

"""`durian replay` and `durian prune`: the archive of events."""

import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from pytest_django.fixtures import Settings

from durian import archive, roles
from durian.cli import prune, replay
from durian.cli.arguments import moment
from durian.event import Hook
from durian.ids import delivery_id, first_event_id
from durian.models import Attempt, Event, Listener
from durian.wire.broker import Incoming
from durian.wire.messages import DeliveryMessage, decode
from tests.integration.site import Replica, ToldBroker, ToldPublisher, registered
from tests.servers.free import wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.django_db(databases=["default", "other"])

URL = "http://where.joe/"
numbers = itertools.count()


@pytest.fixture(autouse=True)
def broker(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker in memory of the test's own, which counts as one that others see: the test does."""
    monkeypatch.setattr(roles, "is_embedded", lambda: False)
    prefix = f"{uuid.uuid4().hex}."
    settings.DURIAN = {**settings.DURIAN, "BROKER_URL": "memory://", "NAME_PREFIX": prefix}


def happened(age: timedelta, using: str = "default", **fields: Any) -> Event:
    """An event of the archive, so long ago."""
    moment = now() - age
    key = uuid.UUID(int=first_event_id(moment).int + next(numbers))
    values = {"hook": "person", "body": '{"n": 1}', "published_at": moment} | fields
    return Event.objects.using(using).create(id=key, created_at=moment, **values)


def attempt(event: Event, listener: Listener, outcome: str, age: timedelta = timedelta()) -> None:
    Attempt.objects.create(
        delivery=delivery_id(str(event.id), listener.pk),
        number=1,
        event=event.id,
        listener_id=listener.pk,
        hook=event.hook,
        outcome=outcome,
        started_at=now() - age,
    )


def listening(hook: str = "person", **fields: Any) -> Listener:
    return Listener.objects.create(hook=hook, url=URL, **fields)


def deliveries() -> list[DeliveryMessage]:
    """What has been published for the deliverers since the last call."""
    taken: list[Incoming] = []
    consumer = roles.broker().consumer(roles.broker().topology.deliver, 1000, taken.append)
    consumer.read()
    for incoming in taken:
        consumer.ack(incoming.tag)
    consumer.close()
    return [decode(DeliveryMessage, incoming.body) for incoming in taken]


def replayed(*arguments: str) -> list[str]:
    """The events that `durian replay` sends again."""
    call_command("durian", "replay", *arguments)
    return [delivery.event for delivery in deliveries()]


def ids(events: Sequence[Event]) -> list[str]:
    return [str(event.id) for event in events]


DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


# Replay


def test_a_replay_is_the_delivery_of_then_in_a_new_run() -> None:
    listener, event = listening(), happened(HOUR, body='{"b":  1, "a": 2}')
    call_command("durian", "replay", "--listener", str(listener.pk), "--since", "2h")
    call_command("durian", "replay", "--listener", str(listener.pk), "--since", "2h")
    first, second = deliveries()
    assert first.id == second.id == delivery_id(str(event.id), listener.pk)
    assert (first.event, first.hook, first.listener) == (str(event.id), "person", listener.pk)
    assert (first.body, first.attempt) == ('{"b":  1, "a": 2}', 1)
    assert first.created == event.created_at.timestamp()
    assert first.run
    assert first.run != second.run


def test_since_and_until_are_ages_or_moments() -> None:
    listener = listening()
    old, middle, new = happened(3 * DAY), happened(2 * DAY), happened(HOUR)
    mine = "--listener", str(listener.pk)
    assert replayed(*mine, "--since", "4d") == ids([old, middle, new])
    assert replayed(*mine, "--since", "60h", "--until", "1d") == ids([middle])
    since = (middle.created_at - HOUR).isoformat()
    assert replayed(*mine, "--since", since) == ids([middle, new])
    until = middle.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert replayed(*mine, "--since", "4d", "--until", until) == ids([old, middle])


def test_an_hour_without_a_zone_is_the_sites_own() -> None:
    assert moment("2026-05-01T12:00").tzinfo
    assert moment("2026-05-01T12:00Z") == datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def test_only_what_the_listener_asks_for_is_sent_again() -> None:
    listener = listening("order.*", match={"total": {"$gt": 5}})
    wanted = happened(HOUR, hook="order.paid", body='{"total": 6}')
    standard = happened(
        HOUR, hook="order.paid", body='{"type": "", "data": {"total": 7}}', envelope="standard"
    )
    happened(HOUR, hook="order.paid", body='{"total": 5}')
    happened(HOUR, hook="order", body='{"total": 6}')
    happened(HOUR, hook="person", body='{"total": 6}')
    sent = replayed("--listener", str(listener.pk), "--since", "1d")
    assert sent == ids([wanted, standard])


class Odd(Hook):
    """A hook that decides by itself who wants what."""

    name = "odd"

    def event_filter(self, sender: Any, payload: Any, match_dict: Any) -> bool:
        """Say whether the number is odd."""
        return bool(payload["n"] % 2)


def test_a_hooks_own_filter_is_asked() -> None:
    listener = listening("odd")
    odd = happened(HOUR, hook="odd", body='{"n": 1}')
    happened(HOUR, hook="odd", body='{"n": 2}')
    with registered(Odd()):
        assert replayed("--listener", str(listener.pk), "--since", "1d") == ids([odd])


@pytest.mark.parametrize("hook", ["person", "#"])
def test_the_archive_is_read_once_for_all_listeners(
    hook: str, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    events = [happened((9 - number) * HOUR) for number in range(3)]
    everybody = [listening(hook) for _ in range(20)]
    attempt(events[0], everybody[0], "delivered")
    # The listeners; of the events those there are and that there are no more; the log.
    with django_assert_max_num_queries(4):
        call_command("durian", "replay", "--all", "--since", "1d", "--failed")
    wanted = [(str(event.id), one.pk) for event in events for one in everybody]
    assert [(one.event, one.listener) for one in deliveries()] == wanted[1:]


def test_a_filter_that_fails_is_named_and_the_other_events_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listener = listening("odd")
    wrong, broken = happened(HOUR, hook="odd", body="{}"), happened(HOUR, hook="odd", body="[")
    odd = happened(HOUR / 2, hook="odd", body='{"n": 1}')
    with registered(Odd()), pytest.raises(SystemExit) as end:
        call_command("durian", "replay", "--listener", str(listener.pk), "--since", "1d")
    assert end.value.code == 1
    assert [one.event for one in deliveries()] == [str(odd.id)]
    said = capsys.readouterr()
    assert said.out == f"listener {listener.pk}: 1 events replayed.\n"
    assert f"event {wrong.id} was not replayed to anybody: KeyError: 'n'" in said.err
    assert f"event {broken.id} was not replayed to anybody: MessageError: has a body" in said.err


def test_a_listener_whose_own_conditions_fail_gets_less_than_was_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Picky(Hook):
        name = "picky"

        def event_filter(self, sender: Any, payload: Any, match_dict: Any) -> bool:
            return bool(payload[match_dict["key"]] == 1)

    good, bad = (listening("picky", match={"key": key}) for key in ("n", "none"))
    event = happened(HOUR, hook="picky")
    with registered(Picky()), pytest.raises(SystemExit) as end:
        call_command("durian", "replay", "--all", "--since", "1d")
    assert end.value.code == 1
    assert [(one.listener, one.event) for one in deliveries()] == [(good.pk, str(event.id))]
    complaint = f"event {event.id} was not replayed to listener {bad.pk}: KeyError: 'none'\n"
    assert capsys.readouterr().err == complaint


def test_what_nobody_asked_for_is_not_even_read(capsys: pytest.CaptureFixture[str]) -> None:
    listening("order.*")
    happened(HOUR, hook="person", body="[")
    assert replayed("--all", "--since", "1d") == []
    assert capsys.readouterr().err == ""


def test_the_log_is_asked_of_few_events_where_listeners_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay, "PAIRS", 6)
    asked, delivered = list[int](), archive.delivered

    def counting(events: Sequence[Event], listeners: Any) -> Any:
        asked.append(len(events))
        return delivered(events, listeners)

    monkeypatch.setattr(archive, "delivered", counting)
    everybody = [listening() for _ in range(3)]
    events = [happened((9 - number) * HOUR) for number in range(5)]
    attempt(events[4], everybody[0], "delivered")
    assert len(replayed("--all", "--since", "1d", "--failed")) == 14
    assert asked == [2, 2, 1]


def test_what_waits_in_the_outbox_is_not_replayed() -> None:
    listener = listening()
    happened(HOUR, published_at=None)
    assert replayed("--listener", str(listener.pk), "--since", "1d") == []


def test_failed_means_not_known_to_be_delivered() -> None:
    listener, other = listening(), listening()
    delivered, dead, never = happened(3 * HOUR), happened(2 * HOUR), happened(HOUR)
    attempt(delivered, listener, "retry")
    attempt(delivered, listener, "delivered")
    attempt(dead, listener, "dead")
    attempt(dead, other, "delivered")
    sent = replayed("--listener", str(listener.pk), "--since", "1d", "--failed")
    assert sent == ids([dead, never])


def test_what_a_replica_has_not_yet_is_known(settings: Settings) -> None:
    listener = listening()
    delivered, failed = happened(2 * HOUR), happened(HOUR)
    attempt(delivered, listener, "delivered")
    settings.DATABASE_ROUTERS = [Replica()]
    mine = "--listener", str(listener.pk)
    assert replayed(*mine, "--since", "1d", "--failed") == ids([failed])


def test_every_database_is_searched_in_the_order_of_time() -> None:
    listener = listening()
    events = [happened(3 * HOUR), happened(2 * HOUR, using="other"), happened(HOUR)]
    assert replayed("--listener", str(listener.pk), "--since", "1d") == ids(events)


def test_what_two_databases_have_since_they_are_one_by_two_names_is_replayed_once() -> None:
    listener = listening()
    events = [happened(2 * HOUR), happened(HOUR)]
    for event in events:
        event.save(using="other", force_insert=True)
    assert replayed("--listener", str(listener.pk), "--since", "1d") == ids(events)


def test_there_is_no_moment_after_the_last_one() -> None:
    listener, event = listening(), happened(HOUR)
    mine = "--listener", str(listener.pk), "--since", "1d"
    assert replayed(*mine, "--until", "9999-12-31T23:59:59.999Z") == ids([event])


def test_several_listeners_or_all_active_ones() -> None:
    one, two, paused = listening(), listening(), listening(state=Listener.State.PAUSED)
    happened(HOUR)
    call_command("durian", "replay", "--all", "--since", "1d")
    assert [delivery.listener for delivery in deliveries()] == [one.pk, two.pk]
    both = ["--listener", str(one.pk), "--listener", str(two.pk)]
    call_command("durian", "replay", *both, "--since", "1d")
    assert [delivery.listener for delivery in deliveries()] == [one.pk, two.pk]
    assert paused.pk


def test_more_than_a_chunk_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CHUNK", 2)
    monkeypatch.setattr(replay, "BATCH", 3)
    listener = listening()
    events = [happened((9 - number) * HOUR) for number in range(7)]
    assert replayed("--listener", str(listener.pk), "--since", "1d") == ids(events)


def test_a_dry_run_counts_and_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    listener = listening()
    happened(HOUR)
    assert replayed("--listener", str(listener.pk), "--since", "1d", "--dry-run") == []
    assert capsys.readouterr().out == f"listener {listener.pk}: 1 events would be replayed.\n"
    assert replayed("--listener", str(listener.pk), "--since", "1d", "--dry-run", "--json") == []
    expected = {"replayed": {str(listener.pk): 1}, "go_on": None}
    assert json.loads(capsys.readouterr().out) == expected


def test_what_was_replayed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    listener = listening()
    happened(HOUR)
    replayed("--listener", str(listener.pk), "--since", "1d")
    said = capsys.readouterr()
    assert said.out == f"listener {listener.pk}: 1 events replayed.\n"
    assert said.err == ""


def test_a_listener_that_is_not_active_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    active, paused = listening(), listening(state=Listener.State.PAUSED)
    happened(HOUR)
    asked = ["--listener", str(active.pk), "--listener", str(paused.pk), "--listener", "999"]
    with pytest.raises(SystemExit) as end:
        call_command("durian", "replay", *asked, "--since", "1d")
    assert end.value.code == 1
    said = capsys.readouterr()
    assert f"No active listener: {paused.pk} (paused), 999 (there is none). Resume" in said.err
    assert said.out == ""
    assert deliveries() == []


@pytest.mark.usefixtures("small_messages")
def test_an_event_that_the_broker_refuses_is_named_and_the_others_go_on(
    rabbitmq: PrivateRabbitMQ,
    amqp_prefix: str,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = {"BROKER_URL": rabbitmq.url, "NAME_PREFIX": amqp_prefix}
    settings.DURIAN = {**settings.DURIAN, **url}
    roles.broker().declare(public=False)
    first, second = listening(), listening()
    events = [happened((20 - number) * HOUR) for number in range(11)]
    Event.objects.filter(pk=events[5].pk).update(body=json.dumps({"n": "x" * 3000}))
    with pytest.raises(SystemExit) as end:
        call_command("durian", "replay", "--all", "--since", "1d")
    assert end.value.code == 1
    said = capsys.readouterr()
    counts = [f"listener {one.pk}: 10 events replayed." for one in (first, second)]
    assert said.out.splitlines() == counts
    complaint = f"event {events[5].id} was not replayed to listener "
    assert said.err.count(complaint) == len(said.err.splitlines()) == 2
    wanted = {(listener.pk, str(one.id)) for listener in (first, second) for one in events}
    wanted -= {(listener.pk, str(events[5].id)) for listener in (first, second)}
    sent: set[tuple[int, str]] = set()

    def all_are_there() -> bool:
        sent.update((one.listener, one.event) for one in deliveries())
        return sent >= wanted

    wait_until(all_are_there, 30, "all others are sent")
    assert sent == wanted


class ShortLivedBroker(ToldBroker):
    """A broker that goes away after its first connection."""

    def publisher(self) -> ToldPublisher:
        """Connect, once."""
        self.away = self.connections > 0
        return super().publisher()


@contextmanager
def broker_of_one_connection(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException] = CommandError
) -> Iterator[ShortLivedBroker]:
    """Have such a broker during the block, which ends with `error`."""
    broker = ShortLivedBroker()
    with monkeypatch.context() as away:
        away.setattr(roles, "broker", lambda: broker)
        with pytest.raises(error):
            yield broker


def what_to_go_on_with(said: str) -> list[str]:
    return said.removeprefix("That is not all. To go on: ").split()


@pytest.mark.parametrize("option", [[], ["--json"]], ids=["text", "json"])
def test_what_was_replayed_before_the_broker_went_is_said_and_where_to_go_on(
    option: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listener, other = listening(), listening("nothing")
    events = [happened(3 * HOUR), happened(2 * HOUR), happened(HOUR)]
    monkeypatch.setattr(replay, "BATCH", 2)
    with broker_of_one_connection(monkeypatch):
        call_command("durian", "replay", "--all", "--since", "1d", *option)
    said = capsys.readouterr()
    if option:
        assert json.loads(said.out)["replayed"] == {str(listener.pk): 2, str(other.pk): 0}
    else:
        assert said.out.splitlines() == [
            f"listener {listener.pk}: 2 events replayed.",
            f"listener {other.pk}: 0 events replayed.",
        ]
    rest = what_to_go_on_with(said.err)
    if option:
        assert list(json.loads(said.out)["go_on"].values()) == rest[1::2]
    happened(-timedelta(seconds=1))  # Nobody meant what is raised between the two.
    # The last one once more: others may have been raised in its millisecond.
    assert replayed("--all", *rest) == ids(events[1:])


def test_what_was_interrupted_at_its_very_start_can_be_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listening().pk
    events = [happened(2 * HOUR), happened(HOUR)]
    with broker_of_one_connection(monkeypatch) as broker:
        broker.connections = 1
        call_command("durian", "replay", "--all", "--since", "2026-01-01T00:00:00.5+02:00")
    rest = what_to_go_on_with(capsys.readouterr().err)
    assert rest[:2] == ["--since", "2026-01-01T00:00:00.500+02:00"]
    assert replayed("--all", *rest) == ids(events)


def test_where_to_go_on_is_said_though_nobody_reads_the_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unread(*_: Any) -> None:
        raise BrokenPipeError

    assert listening().pk
    happened(HOUR)
    monkeypatch.setattr(replay, "print_json", unread)
    with broker_of_one_connection(monkeypatch, SystemExit) as broker:
        broker.connections = 1
        call_command("durian", "replay", "--all", "--since", "1d", "--json")
    assert what_to_go_on_with(capsys.readouterr().err)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_connection_that_was_closed_while_it_rested_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive, "CHUNK", 1)
    listener, lost = listening(), [True]
    events = [happened(2 * HOUR), happened(HOUR)]

    def cut(execute: Any, sql: str, *rest: Any) -> Any:
        if "durian_event" in sql and lost:
            lost.clear()
            raise OperationalError("terminating connection")
        return execute(sql, *rest)

    with connection.execute_wrapper(cut):
        assert replayed("--listener", str(listener.pk), "--since", "1d") == ids(events)
    assert not lost


def test_a_listener_whose_filter_is_invalid_keeps_no_other_from_its_events(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad, good = listening(), listening()
    Listener.objects.filter(pk=bad.pk).update(match={"$nonsense": 1})
    event = happened(HOUR)
    with pytest.raises(SystemExit):
        call_command("durian", "replay", "--all", "--since", "1d")
    assert f"listener {bad.pk}: its filter is invalid" in capsys.readouterr().err
    assert [(one.listener, one.event) for one in deliveries()] == [(good.pk, str(event.id))]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--since", "1d"],
        ["--all"],
        ["--all", "--listener", "1", "--since", "1d"],
        ["--all", "--since", "yesterday"],
        ["--all", "--since", "2026-02-30"],
        ["--all", "--since", "1d", "--until", "later"],
        ["--listener", "x", "--since", "1d"],
        ["--listener", "9" * 25, "--since", "1d"],
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("durian", "replay", *arguments)


# Prune


@pytest.fixture
def aged(settings: Settings) -> tuple[set[uuid.UUID], set[int]]:
    """Events and attempts in both databases; the ids of those that are to stay."""
    ages = {"EVENT_DAYS": 10, "ATTEMPT_DAYS": 5, "DISABLE_AFTER_DAYS": 4}
    settings.DURIAN = {**settings.DURIAN, **ages}
    listener = listening()
    for using in ("default", "other"):
        for days in (11, 12, 13):
            happened(days * DAY, using=using)
    stays = [
        happened(9 * DAY),
        happened(9 * DAY, using="other"),
        happened(20 * DAY, published_at=None),
        happened(20 * DAY, published_at=None, error="too large"),
    ]
    for days in (4, 6, 7):
        attempt(stays[0], listener, "delivered", days * DAY)
    young = Attempt.objects.filter(started_at__gt=now() - 5 * DAY)
    return {event.id for event in stays}, set(young.values_list("pk", flat=True))


Aged = tuple[set[uuid.UUID], set[int]]


def left() -> Aged:
    events = [one.pk for using in ("default", "other") for one in Event.objects.using(using).all()]
    return set(events), set(Attempt.objects.values_list("pk", flat=True))


def test_what_is_past_its_age_is_deleted_and_nothing_else(
    aged: Aged, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("durian", "prune")
    assert capsys.readouterr().out == "6 events and 2 attempts deleted.\n"
    assert left() == aged
    call_command("durian", "prune", "--json")
    assert json.loads(capsys.readouterr().out) == {"events": 0, "attempts": 0}


def test_pruning_goes_in_small_batches(aged: Aged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "BATCH", 2)
    with CaptureQueriesContext(connection) as queries:
        call_command("durian", "prune")
    deletes = [query for query in queries if query["sql"].startswith("DELETE")]
    assert len(deletes) == 3, "three events and two attempts, two at a time"
    assert left() == aged


def test_a_replica_is_not_pruned(
    aged: Aged, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.DATABASE_ROUTERS = [Replica()]
    call_command("durian", "prune")
    assert capsys.readouterr().out == "6 events and 2 attempts deleted.\n"
    settings.DATABASE_ROUTERS = []
    assert left() == aged


def test_a_dry_run_of_prune_deletes_nothing(aged: Aged, capsys: pytest.CaptureFixture[str]) -> None:
    before = left()
    call_command("durian", "prune", "--dry-run")
    assert capsys.readouterr().out == "6 events and 2 attempts would be deleted.\n"
    call_command("durian", "prune", "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out) == {"events": 6, "attempts": 2}
    assert left() == before

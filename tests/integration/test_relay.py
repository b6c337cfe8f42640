"""The relay: from the outboxes to the broker, each event once in normal running."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from durian.database import own_connections
from durian.errors import Unavailable
from durian.event import Hook
from durian.eventrow import EventRow
from durian.ids import first_event_id
from durian.models import Event, Listener, ListenerClock
from durian.signals import claim_requested, events_committed
from publisher import claims
from publisher import relay as relay_module
from publisher.claims import LEASE_SECONDS
from publisher.handover import MAX_WAITING
from publisher.loop import RelayLoop
from publisher.relay import BATCH, CONFIRM_SECONDS, UNDER_WAY, Relay
from tests.integration.site import ToldBroker
from tests.servers.free import wait_until
from tests.versions import immediate_sqlite

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

BOTH = ("default", "other")
PATIENCE = 20.0

hook = Hook(name="myhook")


@pytest.fixture
def broker() -> ToldBroker:
    return ToldBroker()


@pytest.fixture
def relay(broker: ToldBroker) -> Relay:
    return Relay(broker, BOTH)


def waiting() -> list[int]:
    """What is neither published nor set aside, and not claimed."""
    rows = Event.objects.filter(published_at=None, claimed_until=None, error="")
    return [event.payload["n"] for event in rows.order_by("id")]


def wait_for(broker: ToldBroker, count: int) -> None:
    wait_until(lambda: len(broker.published) == count, PATIENCE, f"{count} are published")


@contextmanager
def thread(target: Callable[[], object]) -> Iterator[threading.Thread]:
    """Run `target` in a thread of its own database connections; wait for its end."""

    def run() -> None:
        with own_connections():
            target()

    running = threading.Thread(target=run)
    running.start()
    yield running
    running.join(PATIENCE)
    assert not running.is_alive()


# Publishing


def test_what_waits_is_published_in_its_order_with_its_text(
    broker: ToldBroker, relay: Relay
) -> None:
    ids = hook.send_many([{"n": n} for n in range(1200)])
    assert relay.drain() == 1200
    assert [event.id for event in broker.events] == [str(one) for one in ids]
    assert [message.message_id for message in broker.published] == [str(one) for one in ids]
    assert all(message.mandatory for message in broker.published)
    assert {message.exchange for message in broker.published} == {"durian.events"}
    first, row = broker.events[0], Event.objects.get(pk=ids[0])
    assert (first.hook, first.body, first.envelope) == ("myhook", row.body, "plain")
    assert first.created == row.created_at.timestamp()
    assert not Event.objects.filter(published_at=None).exists()
    assert not Event.objects.exclude(claimed_until=None).exists()
    assert broker.connections == 1


def test_nothing_is_published_twice_and_nothing_connects_for_nothing(
    broker: ToldBroker, relay: Relay
) -> None:
    assert relay.drain() == 0
    assert broker.connections == 0
    hook.send(n=1)
    assert [relay.drain(), relay.drain()] == [1, 0]
    assert len(broker.published) == 1


def test_who_sweeps_looks_before_claiming_and_who_was_nudged_does_not(
    broker: ToldBroker, relay: Relay
) -> None:
    hook.send(n=1)
    relay.drain()
    locks_rows = connection.features.has_select_for_update_skip_locked
    with CaptureQueriesContext(connection) as idle:
        assert relay.drain() == 0
    assert len(idle) == 1
    hook.send(n=2)
    with CaptureQueriesContext(connection) as busy:
        assert relay.drain(look=False) == 1
    looks = [
        query for query in busy if query["sql"].startswith("SELECT") and "_event" in query["sql"]
    ]
    # Where rows are not locked one by one, a claim would lock everybody out.
    assert len(looks) == (1 if locks_rows else 2)


def raised_long_ago(n: int) -> None:
    """Have an event appear that was raised ten minutes ago, as by a transaction of that length."""
    hook.send(n=n)
    long_ago = first_event_id(timezone.now() - timedelta(minutes=10))
    Event.objects.filter(published_at=None).update(id=long_ago)


def test_looks_pass_by_what_is_old_and_one_now_and_then_does_not(
    broker: ToldBroker, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "OLD_SECONDS", 2.0)
    raised_long_ago(1)
    assert relay.drain() == 1, "the first look leaves out nothing"
    Event.objects.all().delete()
    raised_long_ago(2)
    assert relay.drain() == 0
    hook.send(n=3)
    assert relay.drain() == 1
    wait_until(lambda: relay.drain() == 1, PATIENCE, "its turn has come")
    assert [event.body for event in broker.events] == [f'{{"n": {n}}}' for n in (1, 3, 2)]


def test_who_is_told_that_something_waits_passes_by_nothing(relay: Relay) -> None:
    relay.drain()
    raised_long_ago(1)
    assert relay.drain() == 0
    assert relay.drain(look=False) == 1


def test_after_an_outage_the_first_look_passes_by_nothing(broker: ToldBroker, relay: Relay) -> None:
    hook.send(n=1)
    broker.away = True
    with pytest.raises(Unavailable):
        relay.drain()
    Event.objects.update(id=first_event_id(timezone.now() - timedelta(minutes=10)))
    broker.away = False
    assert relay.drain() == 1


def test_the_outboxes_of_all_databases_are_drained(broker: ToldBroker, relay: Relay) -> None:
    hook.send_many([{"n": 1}])
    hook.send_many([{"n": 2}], using="other")
    assert relay.drain() == 2
    assert [event.body for event in broker.events] == ['{"n": 1}', '{"n": 2}']


def test_one_database_away_does_not_keep_the_others_waiting(
    broker: ToldBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        tries.append(1)
        raise OperationalError("no such host")

    tries: list[int] = []
    relay, published = Relay(broker, ("other", "default")), list[int]()
    hook.send_many([{"n": 1}], using="other")
    with monkeypatch.context() as patch:
        patch.setattr(connections["other"], "ensure_connection", away)
        connections["other"].close()
        for n in range(2, 12):
            hook.send(n=n)
            published.append(relay.drain())
    assert published == [1] * 10
    assert len(tries) < 5, "it is left alone for a while"
    assert "The database 'other' is away: no such host" in caplog.text
    wait_until(lambda: relay.drain() == 1, PATIENCE, "it is back")
    assert broker.events[-1].body == '{"n": 1}'


def test_while_every_database_is_away_somebody_is_told(
    broker: ToldBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise OperationalError("no such host")

    relay = Relay(broker, ("other",))
    monkeypatch.setattr(connections["other"], "ensure_connection", away)
    connections["other"].close()
    for _ in range(2):
        with pytest.raises(Unavailable, match="The database 'other' is away: no such host"):
            relay.drain()


def test_an_event_that_is_not_to_be_archived_is_deleted_once_published(
    broker: ToldBroker, relay: Relay
) -> None:
    Hook(name="brief", archive=False).send(n=1)
    hook.send(n=2)
    broker.away = True
    with pytest.raises(Unavailable):
        relay.drain()
    assert Event.objects.count() == 2
    broker.away = False
    relay.drain()
    assert sorted(broker.hooks) == ["brief", "myhook"]
    assert [event.hook for event in Event.objects.all()] == ["myhook"]


def test_an_event_dispatched_in_process_is_not_published(broker: ToldBroker, relay: Relay) -> None:
    Hook(name="inside", asynchronous=False).send_many([{"n": 1}])
    assert relay.drain() == 0


def test_events_carry_the_version_of_the_listeners(broker: ToldBroker, relay: Relay) -> None:
    hook.send(n=1)
    relay.drain()
    listener = Listener.objects.create(hook="myhook", url="http://where.joe/")
    hook.send(n=2)
    relay.drain()
    assert [event.listeners for event in broker.events] == [0, listener.version]
    assert listener.version == ListenerClock.now() > 0


def test_what_was_published_while_its_database_went_away_is_marked_and_not_published_again(
    broker: ToldBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay(broker, ("default",))

    def away(*_: object) -> None:
        raise OperationalError("the database went away")

    hook.send_many([{"n": n} for n in range(3)])
    with monkeypatch.context() as patch:
        patch.setattr("publisher.relay.settle", away)
        with pytest.raises(Unavailable, match="went away"):
            relay.drain()
        with pytest.raises(Unavailable, match="went away"):
            relay.drain()
    # As if it had been away for so long that the claims are over.
    Event.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert relay.drain() == 0
    assert len(broker.published) == 3
    assert not Event.objects.filter(published_at=None).exists()


# The broker


def test_while_the_broker_is_away_no_row_is_touched(broker: ToldBroker, relay: Relay) -> None:
    hook.send_many([{"n": 1}, {"n": 2}])
    broker.away = True
    with CaptureQueriesContext(connection) as queries, pytest.raises(Unavailable, match="away"):
        relay.drain()
    assert not [query for query in queries if query["sql"].startswith("UPDATE")]
    assert waiting() == [1, 2]
    broker.away = False
    assert relay.drain() == 2


def test_what_a_lost_broker_did_not_confirm_is_let_go(broker: ToldBroker, relay: Relay) -> None:
    hook.send(n=1)
    relay.drain()
    hook.send_many([{"n": 2}, {"n": 3}])
    # The connection is open still, and breaks with the batch under way.
    broker.away = True
    with pytest.raises(Unavailable):
        relay.drain()
    assert waiting() == [2, 3]
    broker.away = False
    assert relay.drain() == 2
    assert broker.connections == 2


def test_a_refused_event_is_set_aside_alone(
    broker: ToldBroker, relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    ids = hook.send_many([{"n": n} for n in range(20)])
    bad = str(ids[7])
    broker.refuses = lambda message: message.message_id == bad
    relay.drain()
    good = [str(one) for one in ids if str(one) != bad]
    assert sorted(message.message_id for message in broker.published) == good
    aside = Event.objects.get(published_at=None)
    assert (str(aside.id), aside.error) == (bad, "The broker takes no such thing.")
    assert aside.claimed_until is None
    assert bad in caplog.text
    assert relay.drain() == 0
    broker.refuses = lambda message: False
    Event.objects.filter(pk=bad).update(error="")
    assert relay.drain() == 1


@pytest.mark.parametrize("old", [False, True])
def test_behind_a_refused_event_the_batches_go_on(
    broker: ToldBroker, relay: Relay, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    if old:
        monkeypatch.setattr(relay_module, "YOUNG", timedelta(hours=-1))
    ids = hook.send_many([{"n": n} for n in range(2300)])
    bad = str(ids[700])
    broker.refuses = lambda message: message.message_id == bad
    assert relay.drain() == 2300
    assert {message.message_id for message in broker.published} == set(map(str, ids)) - {bad}
    assert [str(event.id) for event in Event.objects.filter(published_at=None)] == [bad]


def test_no_transaction_is_open_while_the_broker_is_waited_for(
    broker: ToldBroker, relay: Relay
) -> None:
    hook.send_many([{"n": n} for n in range(10)])
    broker.confirms.clear()
    with thread(relay.drain):
        assert broker.asked.wait(PATIENCE)
        try:
            assert states() <= {"idle", "active"}
            # Nor is a row locked: whoever wants to change one can.
            assert Event.objects.update(envelope="plain") == 10
        finally:
            broker.confirms.set()
    assert Event.objects.filter(published_at=None).count() == 0


def states() -> set[str]:
    """What the sessions of the default database are doing; SQLite has no such list."""
    if connection.vendor != "postgresql":
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND query <> ''"
        )
        return {state for (state,) in cursor.fetchall()}


# Several relays


@immediate_sqlite
def test_relays_in_threads_publish_no_event_twice(broker: ToldBroker) -> None:
    ids = hook.send_many([{"n": n} for n in range(3000)])
    barrier = threading.Barrier(4)
    counts: list[int] = []

    def drain() -> None:
        relay = Relay(broker, ("default",))
        barrier.wait(PATIENCE)
        counts.append(relay.drain())

    with thread(drain), thread(drain), thread(drain), thread(drain):
        pass
    assert sorted(message.message_id for message in broker.published) == sorted(map(str, ids))
    assert sum(counts) == 3000


def test_what_another_relay_has_claimed_is_left_to_it(broker: ToldBroker, relay: Relay) -> None:
    hook.send_many([{"n": 1}, {"n": 2}])
    now = timezone.now()
    mine, over = Event.objects.order_by("id")
    Event.objects.filter(pk=mine.pk).update(claimed_until=now + timedelta(seconds=30))
    Event.objects.filter(pk=over.pk).update(claimed_until=now - timedelta(seconds=1))
    assert relay.drain() == 1
    assert [event.id for event in broker.events] == [str(over.pk)], "its lease was over"


@pytest.mark.parametrize("act", [claims.let_go, claims.renew])
def test_what_another_relay_has_claimed_since_stays_its_own(
    act: Callable[[str, list[EventRow]], object],
) -> None:
    hook.send(n=1)
    over = timezone.now() - timedelta(seconds=1)
    mine = [row._replace(claimed_until=over) for row in claims.claim("default", 1)]
    Event.objects.update(claimed_until=over)
    (theirs,) = claims.claim("default", 1)
    act("default", mine)
    assert Event.objects.get().claimed_until == theirs.claimed_until


def test_a_claim_outlasts_the_waiting_for_the_broker(broker: ToldBroker, relay: Relay) -> None:
    hook.send(n=1)
    broker.confirms.clear()
    before = timezone.now()
    with thread(relay.drain):
        assert broker.asked.wait(PATIENCE)
        claimed = Event.objects.get().claimed_until
        other = Relay(broker, ("default",))
        assert other.drain() == 0
        broker.confirms.set()
    assert claimed
    assert claimed >= before + timedelta(seconds=LEASE_SECONDS - 1)
    assert len(broker.published) == 1


def test_a_claim_outlasts_a_broker_that_takes_long(
    broker: ToldBroker, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(relay_module, "RENEW_SECONDS", 0.1)
    hook.send(n=1)
    broker.confirms.clear()
    other = Relay(broker, ("default",))
    with thread(relay.drain):
        assert broker.asked.wait(PATIENCE)
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            assert other.drain() == 0
            time.sleep(0.05)
        broker.confirms.set()
    assert len(broker.published) == 1
    assert Event.objects.get().published_at


def test_an_alarm_is_waited_for_to_its_end(
    broker: ToldBroker, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "CONFIRM_SECONDS", 1.5)
    hook.send(n=1)
    broker.blocked = True
    broker.confirms.clear()
    published: list[int] = []
    with thread(lambda: published.append(relay.drain())) as waiting_for_it:
        waiting_for_it.join(3.0)
        assert waiting_for_it.is_alive(), "it gave up, and would publish it anew"
        broker.blocked = False
        broker.confirms.set()
    assert published == [1]
    assert broker.connections == 1
    assert len(broker.published) == 1


# The loop


@contextmanager
def running(loop: RelayLoop) -> Iterator[None]:
    with thread(loop.run):
        try:
            yield
        finally:
            loop.stop()


def test_a_nudge_publishes(broker: ToldBroker, relay: Relay) -> None:
    loop = RelayLoop(relay, sweep=None)
    with running(loop):
        for n in range(3):
            hook.send(n=n)
            loop.give("default", [])
            wait_for(broker, n + 1)


def test_what_a_busy_site_raises_is_gathered(
    broker: ToldBroker, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.loop.GATHER_SECONDS", 1.0)
    monkeypatch.setattr("publisher.loop.GATHER_MOST_SECONDS", 1.0)
    drains: list[int] = []

    def drain(stopping: Callable[[], bool], look: bool) -> int:
        drains.append(Relay.drain(relay, stopping, look))
        return drains[-1]

    monkeypatch.setattr(relay, "drain", drain)
    loop = RelayLoop(relay, sweep=None)
    with running(loop):
        for n in range(6):
            hook.send(n=n)
            loop.give("default", [])
            wait_for(broker, 1)
        wait_for(broker, 6)
    assert drains[0] == 1, "after a pause nothing waits"
    assert len(drains) <= 3


def test_what_is_behind_a_full_batch_is_not_gathered(
    broker: ToldBroker, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.loop.GATHER_MOST_SECONDS", 60.0)
    monkeypatch.setattr("publisher.loop.GATHER_SECONDS_EACH", 60.0)
    loop = RelayLoop(relay, sweep=None)
    with running(loop), handing_over(loop):
        for n in range(2):
            hook.send_many([{"n": n}] * BATCH)
            wait_for(broker, (n + 1) * BATCH)


def row_of(event: Event) -> EventRow:
    """Return what a request that raised `event` would give to its relay."""
    return EventRow(**{name: getattr(event, name) for name in EventRow._fields})


@contextmanager
def handing_over(loop: RelayLoop) -> Iterator[None]:
    """Give `loop` what this process commits, as the site's background does."""

    def claim(count: int, **_: object) -> datetime | None:
        return loop.claim_until(count)

    def give(using: str, rows: list[EventRow], **_: object) -> None:
        loop.give(using, rows)

    claim_requested.connect(claim)
    events_committed.connect(give)
    try:
        yield
    finally:
        claim_requested.disconnect(claim)
        events_committed.disconnect(give)


@contextmanager
def connected(loop: RelayLoop, broker: ToldBroker) -> Iterator[None]:
    """Run `loop`, for what this process commits, and let it connect by a first event."""
    with handing_over(loop), running(loop):
        assert loop.claim_until(1) is None, "before it is connected, anybody may claim"
        hook.send(n=0)
        wait_for(broker, 1)
        wait_until(lambda: loop.claim_until(1) is not None, PATIENCE, "it takes events over")
        yield


def test_what_a_connected_loop_is_given_is_its_own(broker: ToldBroker, relay: Relay) -> None:
    other, loop = Relay(ToldBroker(), BOTH), RelayLoop(relay, sweep=None)
    with connected(loop, broker):
        broker.confirms.clear()
        with transaction.atomic():
            hook.send(n=1)
            hook.send_many([{"n": 2}, {"n": 3}])
        hook.send_many([{"n": 4}], using="other")
        assert other.drain() == 0, "nobody else publishes it"
        broker.confirms.set()
        wait_for(broker, 5)
        done = Event.objects.filter(published_at=None)
        wait_until(lambda: not done.exists(), PATIENCE, "they are marked")
    assert sorted(event.body for event in broker.events) == [f'{{"n": {n}}}' for n in range(5)]
    assert not Event.objects.exclude(claimed_until=None).exists()


def test_what_is_rolled_back_is_not_given(broker: ToldBroker, relay: Relay) -> None:
    loop = RelayLoop(relay, sweep=None)
    with connected(loop, broker):
        with suppress(ZeroDivisionError), transaction.atomic():
            hook.send(n=1)
            raise ZeroDivisionError
        hook.send(n=2)
        wait_for(broker, 2)
    assert [event.body for event in broker.events] == ['{"n": 0}', '{"n": 2}']


def test_what_was_given_while_the_broker_goes_away_is_let_go(
    broker: ToldBroker, relay: Relay
) -> None:
    loop = RelayLoop(relay, sweep=None)
    with connected(loop, broker):
        broker.away = True
        hook.send(n=1)
        wait_until(lambda: waiting() == [1], PATIENCE, "whoever comes first may publish it")
        wait_until(lambda: loop.claim_until(1) is None, PATIENCE, "it claims nothing any more")
        hook.send(n=2)
        assert waiting() == [1, 2]
        broker.away = False
        wait_for(broker, 3)
        wait_until(lambda: loop.claim_until(1) is not None, PATIENCE, "it takes events over again")


def test_what_was_given_too_late_is_anybodys(broker: ToldBroker, relay: Relay) -> None:
    loop = RelayLoop(relay, sweep=None)
    with connected(loop, broker):
        event = Event(hook="myhook", body="1", claimed_until=timezone.now() - timedelta(seconds=1))
        event.save()
        loop.give("default", [row_of(event)])
        wait_for(broker, 2)
    assert not Event.objects.filter(published_at=None).exists()


def test_what_is_given_with_little_of_its_claim_left_is_claimed_anew(
    broker: ToldBroker, relay: Relay
) -> None:
    loop = RelayLoop(relay, sweep=None)
    with connected(loop, broker):
        broker.confirms.clear()
        soon = timezone.now() + timedelta(seconds=CONFIRM_SECONDS / 2)
        event = Event(hook="myhook", body="1", claimed_until=soon)
        event.save()
        loop.give("default", [row_of(event)])
        wait_until(lambda: bool(broker.publishing), PATIENCE, "it is on its way")
        event.refresh_from_db()
        assert event.claimed_until
        assert event.claimed_until > timezone.now() + timedelta(seconds=CONFIRM_SECONDS)
        broker.confirms.set()
        wait_for(broker, 2)


def test_a_loop_that_has_ended_claims_nothing(broker: ToldBroker, relay: Relay) -> None:
    loop = RelayLoop(relay, sweep=None)
    with connected(loop, broker):
        pass
    assert loop.claim_until(1) is None


def test_no_more_is_claimed_than_a_loop_gets_done(broker: ToldBroker, relay: Relay) -> None:
    loop = RelayLoop(relay, sweep=None)
    with connected(loop, broker):
        broker.confirms.clear()
        assert loop.claim_until(MAX_WAITING)
        assert loop.claim_until(MAX_WAITING + 1) is None
        hook.send_many([{"n": n} for n in range(1, MAX_WAITING + 2)])
        assert len(waiting()) == MAX_WAITING + 1
        broker.confirms.set()
        wait_for(broker, MAX_WAITING + 2)


def test_a_refused_event_that_was_given_is_set_aside_alone(
    broker: ToldBroker, relay: Relay
) -> None:
    loop = RelayLoop(relay, sweep=None)
    broker.refuses = lambda message: b"wrong" in message.body
    with connected(loop, broker):
        hook.send_many([{"n": 1}, {"n": "wrong"}, {"n": 2}])
        wait_for(broker, 3)
        aside = Event.objects.exclude(error="")
        wait_until(aside.exists, PATIENCE, "it is set aside")
    assert aside.get().claimed_until is None


def test_stopping_publishes_what_was_given(broker: ToldBroker, relay: Relay) -> None:
    loop = RelayLoop(relay, sweep=None)
    with connected(loop, broker):
        broker.confirms.clear()
        hook.send(n=1)
        wait_until(lambda: bool(broker.publishing), PATIENCE, "it is on its way")
        hook.send(n=2)
        loop.stop()
        broker.confirms.set()
    assert len(broker.published) == 3
    assert not Event.objects.filter(published_at=None).exists()


def test_a_sweep_finds_what_nobody_nudges_for(broker: ToldBroker, relay: Relay) -> None:
    with running(RelayLoop(relay, sweep=0.05)):
        for n in range(2):
            hook.send(n=n)
            wait_for(broker, n + 1)


def test_the_loop_backs_off_and_catches_up(
    broker: ToldBroker, relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    broker.away = True
    hook.send_many([{"n": n} for n in range(5)])
    loop = RelayLoop(relay, sweep=None)
    with running(loop):
        loop.give("default", [])
        wait_until(lambda: len(caplog.messages) >= 2, PATIENCE, "it has tried twice")
        assert all("Events wait in the outbox" in message for message in caplog.messages)
        broker.away = False
        wait_for(broker, 5)


def test_the_loop_survives_what_nobody_foresaw(
    broker: ToldBroker, relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(message: object) -> bool:
        raise ZeroDivisionError("unforeseen")

    broker.refuses = fail
    hook.send(n=1)
    loop = RelayLoop(relay, sweep=None)
    with running(loop):
        loop.give("default", [])
        wait_until(lambda: "unforeseen" in caplog.text, PATIENCE, "it has failed")
        broker.refuses = lambda message: False
        wait_for(broker, 1)


def test_stopping_ends_with_the_batches_under_way(broker: ToldBroker, relay: Relay) -> None:
    hook.send_many([{"n": n} for n in range(UNDER_WAY * BATCH + 200)])
    broker.confirms.clear()
    loop = RelayLoop(relay, sweep=None)
    with running(loop):
        loop.give("default", [])
        assert broker.asked.wait(PATIENCE)
        loop.stop()
        broker.confirms.set()
    assert len(broker.published) == UNDER_WAY * BATCH
    assert Event.objects.filter(published_at=None, claimed_until=None).count() == 200


def test_the_loop_outlives_its_database_sessions(broker: ToldBroker, relay: Relay) -> None:
    with running(RelayLoop(relay, sweep=0.05)):
        hook.send(n=1)
        wait_for(broker, 1)
        end_other_sessions()
        hook.send(n=2)
        wait_for(broker, 2)


def end_other_sessions() -> None:
    """End all sessions of the default database but this one; SQLite has none that could end."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

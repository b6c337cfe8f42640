"""`durian status` of a site in this process: what it reads, and how it prints it."""

import json
import uuid
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils.timezone import now
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from durian import roles
from durian.cli.health import Health
from durian.cli.prometheus import exposition
from durian.errors import Unavailable
from durian.models import Attempt, Event, Listener
from durian.wire.broker import Broker, QueueState
from tests.integration.site import Replica, ToldBroker

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def broker(settings: Settings) -> None:
    """A broker in memory of the test's own, with its queues."""
    prefix = f"{uuid.uuid4().hex}."
    settings.DURIAN = {**settings.DURIAN, "BROKER_URL": "memory://", "NAME_PREFIX": prefix}
    roles.broker().declare(public=False)


def test_listeners_are_counted_where_they_are_written(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    Listener.objects.create(hook="person", url="http://where.joe/")
    settings.DATABASE_ROUTERS = [Replica()]
    call_command("durian", "status", "--json")
    assert json.loads(capsys.readouterr().out)["listeners"]["active"] == 1


class BareBroker(ToldBroker):
    """A broker on which nothing was declared."""

    def missing_exchanges(self, public: bool) -> list[str]:
        """Return one."""
        return ["[/zz][x]:warning:.events"]


def test_what_looks_like_markup_is_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(roles, "broker", BareBroker)
    with pytest.raises(SystemExit):
        call_command("durian", "status")
    (problem,) = [one for one in capsys.readouterr().out.splitlines() if "problem: " in one]
    assert "[/zz][x]:warning:.events" in problem


def test_a_problem_gives_the_terminal_no_orders(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away() -> Broker:
        raise Unavailable("The broker at [/shop] \x1b[2J is away.")

    monkeypatch.setattr(roles, "broker", away)
    with pytest.raises(SystemExit):
        call_command("durian", "status")
    assert "problem: The broker at [/shop] \ufffd[2J is away.\n" in capsys.readouterr().out


def test_what_migrations_make_is_missed_in_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.DURIAN = {**settings.DURIAN, "OUTBOX_DATABASES": ["default"]}
    monkeypatch.setattr(Event._meta, "db_table", "durian_none")
    with transaction.atomic(), pytest.raises(SystemExit):
        call_command("durian", "status")
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "durian_none" in one]
    assert line.startswith("problem: The database 'default' lacks what migrations make: ")
    assert line.endswith(". Run `manage.py migrate`.")


def logged(outcome: str, seconds_ago: int) -> None:
    Attempt.objects.create(
        delivery=uuid.uuid4(),
        number=1,
        event=uuid.uuid4(),
        listener_id=1,
        hook="person",
        outcome=outcome,
        started_at=now() - timedelta(seconds=seconds_ago),
    )


def test_the_attempts_of_the_last_minute_are_counted_by_outcome(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for outcome, seconds_ago in (("delivered", 1), ("delivered", 50), ("dead", 5), ("dead", 70)):
        logged(outcome, seconds_ago)
    call_command("durian", "status")
    line = "attempts in the last minute: 2 delivered, 0 retry, 1 dead, 0 cancelled\n"
    assert line in capsys.readouterr().out


def gauges(text: str) -> dict[str, dict[str, float]]:
    """Return what Prometheus's own parser reads: values by name, and by the text of the label."""
    families = list(text_string_to_metric_families(text))
    assert all(family.type == "gauge" and family.documentation for family in families)
    return {
        family.name: {"".join(one.labels.values()): one.value for one in family.samples}
        for family in families
    }


def test_prometheus_reads_the_same(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    Listener.objects.create(hook="person", url="http://where.joe/")
    Event.objects.create(hook="person", body="{}")
    Event.objects.create(hook="person", body="{}", error="too large")
    logged("retry", 1)
    prefix = settings.DURIAN["NAME_PREFIX"]
    with pytest.raises(SystemExit):
        call_command("durian", "status", "--prometheus")
    found = gauges(capsys.readouterr().out)
    assert found["durian_queue_messages"][f"{prefix}durian.dead.v1"] == 0
    assert found["durian_queue_consumers"][f"{prefix}durian.deliver.v1"] == 0
    assert found["durian_outbox_events"] == {"default": 1, "other": 0}
    assert found["durian_outbox_set_aside"] == {"default": 1, "other": 0}
    assert 0 <= found["durian_outbox_oldest_seconds"]["default"] < 60
    assert found["durian_listeners"] == {"active": 1, "paused": 0, "disabled": 0}
    assert found["durian_attempts_last_minute"]["retry"] == 1
    assert found["durian_problems"] == {"": 1}


def test_prometheus_is_not_told_what_nobody_knows(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away() -> Broker:
        raise Unavailable("The broker is away.")

    monkeypatch.setattr(roles, "broker", away)
    with pytest.raises(SystemExit):
        call_command("durian", "status", "--prometheus")
    found = gauges(capsys.readouterr().out)
    assert "durian_queue_messages" not in found
    assert found["durian_problems"] == {"": 1}


def test_what_a_label_says_is_quoted() -> None:
    hostile = 'a "b" \\ c\nd'
    found = gauges(exposition(Health(queues=[QueueState(hostile, True, 3, 2_000_001)])))
    assert found["durian_queue_messages"] == {hostile: 3}
    assert found["durian_queue_consumers"] == {hostile: 2_000_001}

"""`durian status` of a site in this process: what it reads, and how it prints it."""

import json
import uuid

import pytest
from django.core.management import call_command
from django.db import transaction
from pytest_django.fixtures import Settings

from durian import roles
from durian.errors import Unavailable
from durian.models import Event, Listener
from durian.wire.broker import Broker
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

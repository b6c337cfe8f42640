"""`durian status` of a site in this process: what it reads, and how it prints it."""

import json
import uuid

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from durian import roles
from durian.models import Listener
from tests.integration.site import Replica

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

"""How the roles end: after what they have begun."""

import pytest
from pytest_django.fixtures import Settings

from durian import roles
from durian.event import Hook
from durian.models import Event
from tests.servers.free import wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 30.0


def test_a_matcher_ends_with_the_batches_that_it_sweeps_up(
    settings: Settings, rabbitmq: PrivateRabbitMQ, amqp_prefix: str
) -> None:
    settings.DURIAN = {
        **settings.DURIAN, "BROKER_URL": rabbitmq.url, "NAME_PREFIX": amqp_prefix,
        "RELAY": "process",
    }  # fmt: skip
    roles.broker().declare(public=False)
    Hook(name="person").send_many([{"n": n} for n in range(5000)])
    role = roles.MatcherRole()
    thread = roles.start_thread(role.run, "matcher")
    left = Event.objects.filter(published_at=None)
    wait_until(lambda: left.count() < 5000, PATIENCE, "a batch is published", every=0.001)
    role.stop(within=PATIENCE)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert left.exists(), "it was stopped too late to tell"
    assert not left.exclude(claimed_until=None).exists()

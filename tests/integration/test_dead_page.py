"""The staff page of dead letters, on RabbitMQ."""

import socket
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from durian import roles
from durian.ids import delivery_id, new_event_id
from durian.models import Listener
from durian.web import dead as page
from durian.wire.broker import Incoming
from durian.wire.dead import Autopsy, letter
from durian.wire.messages import DeliveryMessage, decode, encode
from durian.wire.publishing import publish_all
from tests.servers.free import free_port, wait_until
from tests.servers.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.django_db


@pytest.fixture
def broker(settings: Settings, rabbitmq: PrivateRabbitMQ, amqp_prefix: str) -> None:
    settings.DURIAN = {"BROKER_URL": rabbitmq.url, "NAME_PREFIX": amqp_prefix, "RELAY": "off"}
    roles.broker().declare(public=False)


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_user("staff", is_staff=True))
    return client


def bury(hook: str, listener: int = 1, queue: str = "", text: str = "{}") -> str:
    """Put a dead letter of `hook` into the queue and return its event's id."""
    event = str(new_event_id())
    body = encode(
        DeliveryMessage(
            id=delivery_id(event, listener),
            event=event,
            hook=hook,
            listener=listener,
            body=text,
            created=1.0,
        )
    )
    topology = roles.broker().topology
    incoming = Incoming(1, body, {}, False, queue or topology.deliver)
    detail = "<script>alert(1)</script>"
    autopsy = Autopsy("exhausted", detail, event=event, hook=hook, listener=listener, attempts=8)
    publisher = roles.broker().publisher()
    publish_all(publisher, [letter(topology, incoming, autopsy)])
    publisher.close()
    wait_until(lambda: depth(topology.dead) > 0, 10, "the letter is there")
    return event


def depth(queue: str) -> int:
    return {state.name: state.messages for state in roles.broker().states()}[queue]


def ids(client: Client) -> list[str]:
    """Return the letters that the page shows, once the broker answers in the page's time."""
    shown: list[Any] = []

    def answers() -> bool:
        context = client.get(reverse("durian:dead")).context
        shown[:] = [] if context.get("away") else [context["shown"]]
        return bool(shown)

    wait_until(answers, 30, "the page shows letters")
    return [one["letter"].id for one in shown[0]]


@pytest.mark.usefixtures("broker")
def test_letters_are_shown_with_their_reason_and_never_run(staff: Client) -> None:
    bury("order.paid")
    assert len(ids(staff)) == 1
    answer = staff.get(reverse("durian:dead")).content.decode()
    assert "order.paid" in answer
    assert "exhausted" in answer
    assert "8 attempts" in answer
    assert "<script>alert" not in answer
    assert "&lt;script&gt;alert" in answer


@pytest.mark.usefixtures("broker")
def test_of_a_large_message_the_start_is_shown(staff: Client) -> None:
    bury("order.paid", text="x" * 100_000)
    (letter,) = ids(staff)
    answer = staff.get(reverse("durian:dead")).content.decode()
    assert 3000 < answer.count("x") < 5000
    assert f"bytes more: <code>manage.py durian dead show {letter}</code>" in answer


@pytest.mark.usefixtures("broker")
def test_ticked_letters_are_sent_again_and_the_others_stay(staff: Client) -> None:
    Listener.objects.create(pk=1, hook="order.*", url="http://where.joe/")
    first, _ = bury("order.paid"), bury("order.lost")
    wait_until(lambda: len(ids(staff)) == 2, 10, "both letters are shown")
    chosen, left = ids(staff)
    staff.post(reverse("durian:dead"), {"id": chosen, "action": "replay"})
    topology = roles.broker().topology
    wait_until(lambda: depth(topology.deliver) == 1, 10, "the delivery is back")
    wait_until(lambda: ids(staff) == [left], 10, "the other letter stays")
    taken: list[Incoming] = []
    consumer = roles.broker().consumer(topology.deliver, 10, taken.append)

    def arrived() -> bool:
        consumer.read()
        return bool(taken)

    wait_until(arrived, 10, "the delivery is consumed")
    consumer.close()
    again = decode(DeliveryMessage, taken[0].body)
    assert (again.event, again.attempt, bool(again.run)) == (first, 1, True)


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("state", [Listener.State.PAUSED, None], ids=["paused", "deleted"])
def test_letters_to_a_listener_that_takes_nothing_stay(staff: Client, state: str | None) -> None:
    if state:
        Listener.objects.create(pk=7, hook="order.paid", url="http://where.joe/", state=state)
    bury("order.paid", listener=7)
    chosen = ids(staff)
    page = reverse("durian:dead")
    text = "1 letter stays: its listener is paused, disabled or deleted: 7."

    def stays() -> bool:
        answer = staff.post(page, {"id": chosen, "action": "replay"}, follow=True)
        return text in answer.content.decode()

    wait_until(stays, 30, "the page says that the letter stays")
    wait_until(lambda: ids(staff) == chosen, 10, "the letter is there")
    assert depth(roles.broker().topology.deliver) == 0


@pytest.mark.usefixtures("broker")
def test_a_letter_that_the_broker_does_not_take_is_named(staff: Client) -> None:
    Listener.objects.create(pk=1, hook="order.*", url="http://where.joe/")
    bury("order.paid", queue="q" * 300)
    chosen = ids(staff)
    page = reverse("durian:dead")

    def is_named() -> bool:
        answer = staff.post(page, {"id": chosen, "action": "replay"}, follow=True)
        text = answer.content.decode()
        return f"{chosen[0]} stays: the broker does not take" in text and "0 letters are" in text

    wait_until(is_named, 30, "the page says that the letter stays")
    wait_until(lambda: ids(staff) == chosen, 10, "the letter is there")


@pytest.mark.usefixtures("broker")
def test_ticked_letters_are_discarded(staff: Client) -> None:
    bury("order.paid")
    staff.post(reverse("durian:dead"), {"id": ids(staff), "action": "discard"})
    wait_until(lambda: ids(staff) == [], 10, "no letter is left")
    assert depth(roles.broker().topology.deliver) == 0


@pytest.mark.usefixtures("broker")
def test_a_broker_that_is_too_slow_does_not_make_it_none(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury("order.paid")
    monkeypatch.setattr(page, "WALK_SECONDS", 0.0)
    assert "does not answer" in staff.get(reverse("durian:dead")).context["away"]


@pytest.mark.usefixtures("broker")
def test_no_more_letters_are_changed_than_are_shown(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury("order.paid")
    bury("order.lost")
    wait_until(lambda: len(ids(staff)) == 2, 10, "both letters are shown")
    first, second = ids(staff)
    with monkeypatch.context() as patch:
        patch.setattr(page, "SHOWN", 1)
        staff.post(reverse("durian:dead"), {"id": [first, second], "action": "discard"})
    wait_until(lambda: ids(staff) == [second], 10, "the second letter stays")


@pytest.mark.usefixtures("broker")
def test_a_change_is_not_made_for_long(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    bury("order.paid")
    chosen = ids(staff)
    data = {"id": chosen, "action": "replay"}

    def ends_early() -> bool:
        answer = staff.post(reverse("durian:dead"), data, follow=True)
        return "0 letters are sent again." in answer.content.decode()

    with monkeypatch.context() as patch:
        patch.setattr(page, "WALK_SECONDS", 0.0)
        wait_until(ends_early, 30, "the page says that it has come to no letter")
    wait_until(lambda: ids(staff) == chosen, 10, "the letter is there")
    assert depth(roles.broker().topology.deliver) == 0


@pytest.mark.usefixtures("broker")
def test_nobody_but_staff_sees_them(client: Client) -> None:
    client.force_login(User.objects.create_user("joe"))
    assert client.get(reverse("durian:dead")).status_code == 403
    client.logout()
    assert client.get(reverse("durian:dead")).status_code == 302


def test_the_page_says_that_the_broker_is_away(staff: Client, settings: Settings) -> None:
    url = f"amqp://guest:hunter2@127.0.0.1:{free_port()}//"
    settings.DURIAN = {"BROKER_URL": url, "RELAY": "off"}
    began = time.monotonic()
    answer = staff.get(reverse("durian:dead"))
    assert time.monotonic() - began < page.ANSWER_SECONDS + 2
    assert answer.status_code == 200
    assert answer.context["away"]
    assert "hunter2" not in answer.content.decode()


def test_the_page_waits_for_no_broker_that_does_not_answer(
    staff: Client, settings: Settings
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://guest:hunter2@127.0.0.1:{silent.getsockname()[1]}//"
        settings.DURIAN = {"BROKER_URL": url, "RELAY": "off"}
        began = time.monotonic()
        answer = staff.get(reverse("durian:dead"))
        assert time.monotonic() - began < page.ANSWER_SECONDS + 2
    # Connecting itself has a bound, too, a later one.
    assert answer.context["away"] == "The broker does not answer. Try again later."
    assert "hunter2" not in answer.content.decode()

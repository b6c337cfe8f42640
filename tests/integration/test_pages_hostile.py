"""The pages in hostile hands: every address that there is, by every method, for everybody."""

import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.db.models.signals import post_save
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone
from django.views.debug import ExceptionReporter
from pytest_django.fixtures import Settings

from durian import conf
from durian.event import Hook
from durian.models import Attempt, Event, Listener
from durian.urls import urlpatterns
from tests.integration.site import registered

pytestmark = pytest.mark.django_db

URL = "http://127.0.0.1:9/hook"
METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
DELIVERY = uuid.UUID(int=1)
ROUTES = {pattern.name: str(pattern.pattern) for pattern in urlpatterns if pattern.name}
OF_A_LISTENER = sorted(name for name, route in ROUTES.items() if "<int:pk>" in route)
OPEN = {"debug"}
"""It takes a POST from anybody, by design, and is there only with DEBUG."""


@pytest.fixture(autouse=True)
def hook() -> Iterator[Hook]:
    with registered(Hook("person", provides_args=["name"])) as hook:
        yield hook


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def listener(ann: User) -> Listener:
    listener = Listener.objects.create(user=ann, hook="person", url=URL)
    Attempt.objects.create(
        delivery=DELIVERY, event=uuid.uuid4(), listener_id=listener.pk, hook="person",
        number=1, outcome="delivered", status=200, started_at=timezone.now(),
    )  # fmt: skip
    return listener


def logged_in(user: User, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


def address(name: str, pk: int = 1) -> str:
    route = ROUTES[name].replace("<int:pk>", str(pk)).replace("<uuid:delivery>", str(DELIVERY))
    return f"/hooks/{route}"


def state_of(listener: Listener) -> dict[str, Any]:
    return dict(Listener.objects.values().get(pk=listener.pk))


def test_there_are_the_pages_that_these_tests_know_of() -> None:
    assert all(isinstance(pattern, URLPattern) for pattern in urlpatterns)
    assert set(OF_A_LISTENER) == {
        "show", "edit", "pause", "resume", "delete", "rotate", "secret", "delivery",
    }  # fmt: skip


@pytest.mark.parametrize("name", OF_A_LISTENER)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_somebody_elses_answers_as_what_is_not_there(
    listener: Listener, name: str, method: str
) -> None:
    other = logged_in(User.objects.create_user("other"))
    before = state_of(listener)
    data = {"url": "http://evil.example/", "json": "{}"}
    theirs = getattr(other, method)(address(name, listener.pk), data)
    for pk in (listener.pk + 1, 10**18, 2**63, 10**30):
        nobodys = getattr(other, method)(address(name, pk), data)
        assert nobodys.status_code == theirs.status_code
        assert nobodys.content == theirs.content
        assert set(nobodys.headers) == set(theirs.headers)
    if method in ("get", "head", "post"):
        assert theirs.status_code in (404, 405)
    assert state_of(listener) == before


@pytest.mark.parametrize("name", sorted({*ROUTES} - OPEN))
@pytest.mark.parametrize("method", METHODS)
def test_who_is_not_logged_in_is_sent_to_the_login_of_this_site(name: str, method: str) -> None:
    answer = getattr(Client(), method)(address(name))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/?next=/hooks/")


@pytest.mark.parametrize("name", sorted({*ROUTES} - OPEN))
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_is_changed_without_a_token(
    ann: User, listener: Listener, name: str, method: str
) -> None:
    client, before = logged_in(ann, enforce_csrf_checks=True), state_of(listener)
    assert getattr(client, method)(address(name, listener.pk)).status_code == 403
    assert state_of(listener) == before


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_every_page_has_its_headers_whatever_the_site_sets(
    listener: Listener, name: str, settings: Settings
) -> None:
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if "Security" not in one]
    settings.DURIAN = {**settings.DURIAN, "BROKER_URL": "memory://"}
    settings.DEBUG = True
    answer = logged_in(User.objects.create_superuser("boss")).get(address(name, listener.pk))
    assert answer.status_code in (200, 302)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"


EVIL_SITE = "https://evil.example/"


@pytest.mark.parametrize("name", sorted({*ROUTES} - OPEN))
@pytest.mark.parametrize("method", ["get", "post"])
def test_no_page_sends_a_browser_elsewhere(
    ann: User, listener: Listener, name: str, method: str
) -> None:
    client = logged_in(ann)
    client.raise_request_exception = False
    asked = {key: EVIL_SITE for key in ("next", "url", "type", "redirect", "return", "before")}
    target = address(name, listener.pk)
    for query in ("", f"?next={EVIL_SITE}&type=person&redirect={EVIL_SITE}"):
        answer = getattr(client, method)(target + query, asked, headers={"referer": EVIL_SITE})
        assert answer.status_code < 500
        location = urlsplit(answer.headers.get("Location", ""))
        assert (location.scheme, location.netloc) == ("", "")


@pytest.mark.parametrize("where", ["create", "edit"])
def test_a_form_changes_no_field_that_it_does_not_show(
    ann: User, listener: Listener, where: str
) -> None:
    other, before = User.objects.create_user("other"), state_of(listener)
    smuggled = {
        "user": other.pk, "user_id": other.pk, "id": 4711, "pk": 4711, "hook": "#",
        "state": "disabled", "state_reason": "x", "state_since": "2000-01-01", "secrets": "x",
        "version": 1, "created_at": "2000-01-01", "updated_at": "2000-01-01", "match": '{"a": 1}',
        "config": '{"timeout": 1}', "is_staff": "1", "retry": "", "_state": "x",
    }  # fmt: skip
    target = {"create": "/hooks/create/?type=person", "edit": address("edit", listener.pk)}[where]
    answer = logged_in(ann).post(target, {**smuggled, "url": URL + "/new"})
    assert answer.status_code == 302
    changed = Listener.objects.order_by("-pk")[0]
    assert (changed.url, changed.user, changed.hook) == (URL + "/new", ann, "person")
    assert (changed.match, changed.config) == ({}, {})
    assert (changed.state, changed.state_reason) == ("active", "")
    assert changed.signing_secrets()[0].startswith("whsec_")
    assert changed.pk != 4711
    assert changed.created_at.year > 2000
    assert changed.version >= before["version"]
    assert changed.version > 1


@pytest.mark.parametrize(
    "headers",
    [
        "X-A: b\r\nwebhook-id: 1",
        "Webhook_Id: 1",
        "WEBHOOK-SIGNATURE: v1,x",
        "durian.hook: x",
        "Host: evil.example",
        "content-length: 3",
        "Transfer_Encoding: chunked",
        "Connection: close",
        "X-A: b\x0bwebhook-id: 1",
        "X-A: b\u2028webhook-id: 1",
        "X-A: b\x85webhook-id: 1",
        "X A: b",
        "X-A : b\rHost: x",
        "X-É: b",
        "X-A: é",
        ": b",
    ],
)
def test_headers_of_a_users_split_no_line_and_override_nothing(ann: User, headers: str) -> None:
    page = logged_in(ann).post("/hooks/create/?type=person", {"url": URL, "headers": headers})
    assert page.status_code == 200
    assert 'role="alert"' in page.content.decode()
    assert not Listener.objects.exists()


def test_what_a_form_cannot_read_is_an_error_of_its_field(ann: User) -> None:
    client, url = logged_in(ann), "/hooks/create/?type=person"
    odd = ["\0", "\ud800".encode("utf-8", "surrogatepass"), b"\xff\xfe", "x" * 100_000, "9" * 5000]
    odd += ["1e400", "NaN", "-0", "[" * 50_000, '{"a":' * 50_000, "\u202e", "²", "None", "{}", "[]"]
    fields = ["url", "description", "timeout", "retry", "max_retries", "schedule", "rate"]
    fields += ["headers", "name_cond", "name_query", "json", "payload"]
    for field in fields:
        for value in odd:
            for extra in ({}, {"try": "1"}):
                answer = client.post(url, {"url": URL, field: value, **extra})
                assert answer.status_code in (200, 302), (field, value[:20])


# Secrets


def test_no_page_shows_a_secret_but_the_one_page_once(
    ann: User, listener: Listener, settings: Settings
) -> None:
    key = "an encryption key that is planted"
    settings.DURIAN = {**settings.DURIAN, "ENCRYPTION_KEYS": [key]}
    settings.DEBUG = True
    client = logged_in(ann)
    page = client.post("/hooks/create/?type=person", {"url": URL})["Location"]
    made = Listener.objects.order_by("-pk")[0]
    (secret,) = made.signing_secrets()
    planted = [secret, secret.removeprefix("whsec_"), key]
    assert secret in client.get(page).content.decode()
    event = Event.objects.create(hook="person", body="{}")
    boss = logged_in(User.objects.create_superuser("boss"))
    admin = [
        f"/admin/durian/{path}"
        for path in (
            "", "listener/", f"listener/{made.pk}/change/", f"listener/{made.pk}/history/",
            f"listener/{made.pk}/delete/", "listener/add/", "event/", f"event/{event.pk}/change/",
            "attempt/", f"attempt/{Attempt.objects.get().pk}/change/",
        )
    ]  # fmt: skip
    pages = [address(name, made.pk) for name in sorted(ROUTES)]
    shown = 0
    for visitor, paths in ((client, pages), (boss, pages + admin)):
        for path in paths:
            answer = visitor.get(path, follow=True)
            shown += answer.status_code == 200
            said = answer.content.decode() + json.dumps(dict(answer.headers))
            assert not [one for one in planted if one in said], path
    assert shown > 25


def test_a_page_that_fails_tells_nothing_of_a_secret(
    ann: User, listener: Listener, settings: Settings
) -> None:
    (secret,) = listener.signing_secrets()
    settings.DURIAN = {
        **settings.DURIAN,
        "ENCRYPTION_KEYS": ["a key that fits nothing"],
        "BROKER_URL": "amqp://me:swordfish@127.0.0.1//",
        "PROXY": "http://me:angelfish@127.0.0.1:9",
    }
    settings.DEBUG = True
    conf.hide_passwords()
    client = logged_in(ann)
    client.raise_request_exception = False
    answer = client.post(address("rotate", listener.pk))
    said = answer.content.decode()
    assert answer.status_code == 500
    assert "No key in DURIAN" in said
    report = ExceptionReporter(None, *_an_error()).get_traceback_text()
    assert "ALLOW_NETWORKS" in said
    assert "ALLOW_NETWORKS" in report
    for planted in (secret, secret[6:], "a key that fits nothing", "swordfish", "angelfish"):
        assert planted not in said
        assert planted not in report
    assert conf.config().proxy.startswith("http://me:angelfish")


def test_a_receiver_that_fails_while_a_secret_is_made_shows_none(
    ann: User, listener: Listener, settings: Settings
) -> None:
    settings.DEBUG = True
    old = listener.signing_secrets()[0]

    def fail(**_: Any) -> None:
        raise RuntimeError("the site's own")

    client = logged_in(ann)
    client.raise_request_exception = False
    post_save.connect(fail, sender=Listener)
    try:
        said = client.post(address("rotate", listener.pk)).content.decode()
    finally:
        post_save.disconnect(fail, sender=Listener)
    assert "rotate_secret" in said
    assert "&lt;Secret&gt;" in said
    assert old not in said
    assert old[6:] not in said
    assert "whsec_" not in said


def _an_error() -> tuple[Any, Any, Any]:
    try:
        raise ValueError("What Django would mail to the site's administrators.")
    except ValueError as error:
        return type(error), error, error.__traceback__

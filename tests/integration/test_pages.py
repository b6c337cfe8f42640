"""The pages as browsers without JavaScript use them, on both databases."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.db import connection
from django.db.models.signals import pre_save
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from durian.event import Hook
from durian.ids import new_event_id
from durian.models import MAX_SECRETS, Attempt, Event, Listener
from durian.registry import hooks
from durian.signals import events_committed
from durian.web import deliveries, secrets
from durian.web.listeners import DISABLED_BY_STAFF
from durian.web.page import visible_to
from tests.integration.site import Replica, registered

pytestmark = pytest.mark.django_db

URL = "http://127.0.0.1:9/hook"
EVIL = "<script>alert(1)</script>"
CREATE = "/hooks/create/?type=person"


@pytest.fixture(autouse=True)
def hook() -> Iterator[Hook]:
    hook = hooks.register(
        Hook("person", verbose_name="A person is saved", provides_args=["name", "age"])
    )
    yield hook
    hooks.unregister(hook)


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def client(ann: User) -> Client:
    return logged_in(ann)


@pytest.fixture
def staff() -> Client:
    return logged_in(User.objects.create_superuser("boss"))


@pytest.fixture
def onlooker() -> Client:
    """Staff that may look at listeners and events, and change none."""
    user = User.objects.create_user("onlooker", is_staff=True)
    seen = Permission.objects.filter(codename__in=["view_event", "view_listener"])
    user.user_permissions.set(seen)
    return logged_in(user)


@pytest.fixture
def listener(ann: User) -> Listener:
    return Listener.objects.create(user=ann, hook="person", url=URL)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    assert response.status_code == 200, response
    content: str = response.content.decode()
    return content


def attempt(listener: Listener, ago: int = 0, **fields: Any) -> Attempt:
    values: dict[str, Any] = {
        "delivery": uuid.uuid4(),
        "number": 1,
        "event": uuid.uuid4(),
        "hook": listener.hook,
        "outcome": Attempt.Outcome.DELIVERED,
        "status": 200,
        "started_at": timezone.now() - timedelta(seconds=ago),
    }
    return Attempt.objects.create(listener_id=listener.pk, **{**values, **fields})


# Making a listener


def test_an_event_is_selected_and_a_listener_created(client: Client, ann: User) -> None:
    page = text(client.get("/hooks/select/"))
    assert "A person is saved" in page
    assert 'href="/hooks/create/?type=person"' in page
    response = client.get("/hooks/select/", {"type": "person"})
    assert response["Location"] == CREATE
    form = text(client.get(CREATE))
    assert all(name in form for name in ("name_cond", "name_query", "age_cond", "age_query"))
    data = {"url": URL, "name_cond": "2", "name_query": "J", "timeout": "9", "max_retries": "2"}
    created = client.post(CREATE, {**data, "json": '{"total": {"$gte": 100}}'})
    listener = Listener.objects.get()
    assert created["Location"] == f"/hooks/{listener.pk}/secret/"
    assert (listener.user, listener.hook, listener.url) == (ann, "person", URL)
    assert listener.match == {"name": {"$startsWith": "J"}, "total": {"$gte": 100}}
    assert listener.config == {"timeout": 9.0, "max_retries": 2}


def test_the_secret_is_shown_once(client: Client, ann: User) -> None:
    page = client.post(CREATE, {"url": URL})["Location"]
    (secret,) = Listener.objects.get().signing_secrets()
    assert secret in text(client.get(page))
    assert secret not in text(client.get(page))
    for path in ("", "edit/", "rotate/", "delete/"):
        assert "whsec_" not in text(client.get(page.replace("secret/", path)))
    assert secret not in str(dict(client.session))


def test_nobody_is_shown_the_secret_that_somebody_else_made(
    client: Client, staff: Client, listener: Listener
) -> None:
    page = f"/hooks/{listener.pk}/secret/"
    staff.post(f"/hooks/{listener.pk}/rotate/")
    client.post(f"/hooks/{listener.pk}/rotate/")
    listener.refresh_from_db()
    newest = listener.signing_secrets()[0]
    assert newest not in text(staff.get(page))
    assert newest in text(client.get(page))


def test_a_rotated_secret_is_shown_once(client: Client, listener: Listener) -> None:
    (old,) = listener.signing_secrets()
    assert "24 hours" in text(client.get(f"/hooks/{listener.pk}/rotate/"))
    page = client.post(f"/hooks/{listener.pk}/rotate/")["Location"]
    listener.refresh_from_db()
    new = listener.signing_secrets()[0]
    assert listener.signing_secrets() == [new, old]
    assert new in text(client.get(page))
    assert "whsec_" not in text(client.get(page))


def test_secrets_that_nobody_looks_at_fill_no_session(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "MOST", 2)
    for _ in range(3):
        client.post(CREATE, {"url": URL})
    newest = [listener.pk for listener in Listener.objects.order_by("pk")][1:]
    assert [pk for pk, _ in client.session[secrets.SESSION_KEY]] == newest


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"url": "http://10.0.0.1/"}, "is a private address"),
        ({"url": ""}, "This field is required."),
        ({"name_cond": "5", "name_query": "("}, "is refused"),
        ({"json": "{"}, "This is not JSON"),
        ({"json": "[]"}, "must be a JSON object"),
        ({"json": "[" * 100_000}, "nested too deeply"),
        ({"json": '{"a": "\\u0000"}'}, "NUL"),
        ({"json": '{"a": "\\ud800"}'}, "surrogate"),
        ({"json": '{"a": {"$like": 1}}'}, "a: $like is not an operator"),
        ({"name_cond": "1", "name_query": "J", "json": '{"name": "J"}'}, "asked for above"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_saved(
    client: Client, data: dict[str, str], message: str
) -> None:
    assert message in text(client.post(CREATE, {"url": URL, **data}))
    assert not Listener.objects.exists()


def test_nobody_can_have_more_listeners_than_the_site_allows(
    client: Client, listener: Listener, settings: Settings
) -> None:
    settings.DURIAN = {**settings.DURIAN, "LISTENERS_PER_USER": 1}
    assert "as many as this site allows" in text(client.post(CREATE, {"url": URL}))
    assert Listener.objects.count() == 1


def test_nobody_makes_more_listeners_in_an_hour_than_the_site_allows(
    client: Client, ann: User, settings: Settings
) -> None:
    settings.DURIAN = {**settings.DURIAN, "LISTENERS_PER_HOUR": 3}
    for _ in range(3):
        client.post(CREATE, {"url": URL})
    first, _, third = Listener.objects.order_by("pk")
    refused = text(client.post(CREATE, {"url": URL}))
    assert "made 3 listeners within an hour" in refused
    assert "Try again in 60 minutes." in refused
    client.post(f"/hooks/{third.pk}/delete/")
    assert "within an hour" in text(client.post(CREATE, {"url": URL})), "a deletion frees nothing"
    before = timezone.now() - timedelta(minutes=58, seconds=30)
    Listener.objects.filter(pk=first.pk).update(created_at=before)
    assert "Try again in 2 minutes." in text(client.post(CREATE, {"url": URL}))
    Listener.objects.filter(pk=first.pk).update(created_at=before - timedelta(minutes=2))
    assert client.post(CREATE, {"url": URL}).status_code == 302
    assert "within an hour" in text(client.post(CREATE, {"url": URL}))
    other = logged_in(User.objects.create_user("other"))
    assert other.post(CREATE, {"url": URL}).status_code == 302


def test_too_many_rotations_are_refused_on_the_page(client: Client, listener: Listener) -> None:
    for _ in range(MAX_SECRETS - 1):
        client.post(f"/hooks/{listener.pk}/rotate/")
    page = text(client.post(f"/hooks/{listener.pk}/rotate/", follow=True))
    assert "10 secrets of this listener are in use" in page
    listener.refresh_from_db()
    assert len(listener.signing_secrets()) == MAX_SECRETS


def test_a_form_sets_only_what_it_asks_for(client: Client, ann: User) -> None:
    other = User.objects.create_user("other")
    data = {"url": URL, "user": other.pk, "state": "disabled", "hook": "x", "config": "{}", "id": 7}
    client.post(CREATE, data)
    listener = Listener.objects.get()
    assert (listener.user, listener.state, listener.hook) == (ann, "active", "person")


def test_a_missing_or_unknown_event_is_no_error_of_the_server(client: Client) -> None:
    assert client.get("/hooks/create/")["Location"] == "/hooks/select/"
    assert client.post("/hooks/create/").status_code == 400
    assert client.get("/hooks/create/?type=nobody").status_code == 404
    assert "nobody is not one of" in text(client.get("/hooks/select/?type=nobody"))


# Trying a filter


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ('{"name": "Joe", "total": 5}', "It passes"),
        ('{"name": "Ann", "total": 5}', "It does not pass"),
        ('{"name": "Joe"}', "It does not pass"),
        ("[1]", "There are errors in the filter or in the payload"),
    ],
)
def test_a_filter_is_tried_without_saving(client: Client, payload: str, message: str) -> None:
    data = {"name_cond": "2", "name_query": "J", "json": '{"total": {"$gt": 1}}', "url": "half"}
    page = text(client.post(CREATE, {**data, "payload": payload, "try": "1"}))
    assert message in page
    assert "This field is required." not in page
    assert 'value="half"' in page
    assert not Listener.objects.exists()


def test_a_filter_of_the_hooks_own_is_tried_too(client: Client) -> None:
    class Choosy(Hook):
        def event_filter(self, sender: Any, payload: Any, match_dict: Any) -> bool:
            return bool(payload.get("name") == "chosen")

    hook = hooks.register(Choosy("choosy"))
    try:
        for name, message in (("chosen", "It passes"), ("other", "It does not pass")):
            data = {"try": "1", "payload": f'{{"name": "{name}"}}'}
            assert message in text(client.post("/hooks/create/?type=choosy", data))
    finally:
        hooks.unregister(hook)


def test_a_filter_of_the_hooks_own_may_fail_when_it_is_tried(client: Client) -> None:
    class Adult(Hook):
        def event_filter(self, sender: Any, payload: Any, match_dict: Any) -> bool:
            return bool(payload["age"] >= 18)

    with registered(Adult("adult")):
        data = {"try": "1", "payload": '{"age": ""}'}
        page = text(client.post("/hooks/create/?type=adult", data))
    assert "The event&#x27;s own filter fails with this payload: TypeError" in page


def test_json_with_a_key_twice_is_refused(client: Client) -> None:
    twice = '{"age": {"$gte": 1}, "age": {"$lt": 5}}'
    assert "twice in one object" in text(client.post(CREATE, {"url": URL, "json": twice}))


class OwnConfigForm(forms.Form):
    url = forms.CharField()
    headers = forms.JSONField(required=False)


class OwnMatchForm(forms.Form):
    city = forms.CharField(required=False)

    def clean(self) -> dict[str, Any]:
        return {"match": {"city": self.cleaned_data["city"]}}


def test_a_hook_may_have_forms_of_its_own(client: Client) -> None:
    hook = Hook("own", config_form=OwnConfigForm, match_forms=OwnMatchForm)
    hooks.register(hook)
    try:
        page = "/hooks/create/?type=own"
        assert 'name="city"' in text(client.get(page))
        bad = {"url": "http://10.0.0.1/", "headers": '{"Host": "x"}', "city": "Oslo"}
        shown = text(client.post(page, bad))
        assert "is a private address" in shown
        assert "cannot be set" in shown
        client.post(page, {"url": URL, "headers": '{"X-A": "b"}', "city": "Oslo"})
        listener = Listener.objects.get()
        assert listener.match == {"city": "Oslo"}
        assert listener.config == {"headers": {"X-A": "b"}}
    finally:
        hooks.unregister(hook)


# Changing a listener


def test_a_listener_is_edited_without_loss(client: Client, listener: Listener) -> None:
    listener.match = {"name": {"$endsWith": "e"}, "total": {"$gte": 100}}
    listener.config = {"timeout": 9, "retry": {"schedule": [5, 60], "jitter": 0.5}}
    listener.save()
    page = f"/hooks/{listener.pk}/edit/"
    form = text(client.get(page))
    assert 'value="e"' in form
    assert "$gte" in form
    assert 'value="5, 60"' in form
    data = {"url": URL + "2", "name_cond": "3", "name_query": "y", "schedule": "5, 60"}
    saved = client.post(page, {**data, "json": '{"total": {"$gte": 100}}'})
    assert saved["Location"] == f"/hooks/{listener.pk}/"
    listener.refresh_from_db()
    assert listener.url == URL + "2"
    assert listener.match == {"name": {"$endsWith": "y"}, "total": {"$gte": 100}}
    assert listener.config == {"retry": {"schedule": [5.0, 60.0], "jitter": 0.5}}


@pytest.mark.parametrize(
    "asked",
    [
        {"$startsWith": "a\nb"},
        {"$endsWith": "a\rb"},
        {"$startsWith": "x" * 1001},
        {"$or": [{"$eq": 1}, {"$eq": "true"}]},
    ],
    ids=["line feed", "carriage return", "long", "one for true"],
)
def test_what_cannot_be_typed_beside_a_choice_is_shown_as_json(
    client: Client, listener: Listener, asked: dict[str, Any]
) -> None:
    listener.match = {"name": asked}
    listener.save()
    shown = client.get(f"/hooks/{listener.pk}/edit/").context["editor"].json["json"].value()
    assert json.loads(shown) == {"name": asked}


def test_whoever_has_made_a_listener_sees_it_though_a_replica_lags(
    ann: User, listener: Listener, settings: Settings
) -> None:
    settings.DATABASE_ROUTERS = [Replica()]
    assert visible_to(ann).get() == listener


def test_who_refers_to_the_user_meanwhile_does_not_wait(client: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        client.post(CREATE, {"url": URL})
    locks = [one["sql"] for one in queries if " FOR " in one["sql"]]
    weak = [lock for lock in locks if lock.endswith("FOR NO KEY UPDATE")]
    assert locks == weak
    assert len(weak) == (connection.vendor == "postgresql")


def test_a_listener_with_one_attempt_keeps_it_when_it_is_edited(
    client: Client, listener: Listener
) -> None:
    listener.config = {"retry": {"schedule": []}}
    listener.save()
    page = f"/hooks/{listener.pk}/edit/"
    assert '<option value="False" selected>' in text(client.get(page))
    client.post(page, {"url": URL, "retry": "False", "description": "mine"})
    listener.refresh_from_db()
    assert listener.config == {"retry": False}


def test_a_listener_of_a_pattern_or_of_a_lost_hook_can_be_edited(client: Client, ann: User) -> None:
    for name in ("article.*", "gone"):
        listener = Listener.objects.create(user=ann, hook=name, url=URL, match={"name": "J"})
        page = f"/hooks/{listener.pk}/edit/"
        assert "&quot;name&quot;: &quot;J&quot;" in text(client.get(page))
        assert client.post(page, {"url": URL, "json": '{"name": "K"}'}).status_code == 302
        listener.refresh_from_db()
        assert listener.match == {"name": "K"}


def test_a_listener_is_paused_and_resumed(client: Client, listener: Listener) -> None:
    client.post(f"/hooks/{listener.pk}/pause/")
    listener.refresh_from_db()
    assert listener.state == Listener.State.PAUSED
    before = timezone.now()
    page = text(client.post(f"/hooks/{listener.pk}/resume/", follow=True))
    listener.refresh_from_db()
    assert listener.state == Listener.State.ACTIVE
    command = rf"durian replay --listener {listener.pk} --since (\S+) --failed"
    (since,) = re.findall(command, page)
    # What was raised just before may have been matched after it.
    assert datetime.fromisoformat(since) < before - timedelta(minutes=10)


def test_a_listener_is_resumed_where_times_have_no_zone(
    client: Client, listener: Listener, settings: Settings
) -> None:
    settings.USE_TZ = False
    client.post(f"/hooks/{listener.pk}/pause/")
    attempt(listener, event=new_event_id(), outcome="cancelled", started_at=timezone.now())
    page = text(client.post(f"/hooks/{listener.pk}/resume/", follow=True))
    assert f"durian replay --listener {listener.pk} --since " in page


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_who_had_to_log_in_first_comes_back_to_the_listener(
    client: Client, listener: Listener, action: str
) -> None:
    answer = client.get(f"/hooks/{listener.pk}/{action}/")
    assert answer["Location"] == f"/hooks/{listener.pk}/"
    listener.refresh_from_db()
    assert listener.state == Listener.State.ACTIVE


def test_what_staff_disabled_only_staff_resumes(
    client: Client, staff: Client, listener: Listener
) -> None:
    data = {"action": "disable", "_selected_action": [listener.pk]}
    staff.post("/admin/durian/listener/", data)
    page = text(client.get(f"/hooks/{listener.pk}/"))
    assert DISABLED_BY_STAFF in page
    assert "Resume" not in page
    assert client.post(f"/hooks/{listener.pk}/resume/").status_code == 403
    assert staff.post(f"/hooks/{listener.pk}/resume/").status_code == 302
    listener.refresh_from_db()
    assert listener.state == Listener.State.ACTIVE


def test_a_listener_is_deleted_by_post_alone(client: Client, listener: Listener) -> None:
    assert "Delete this listener?" in text(client.get(f"/hooks/{listener.pk}/delete/"))
    assert Listener.objects.exists()
    client.post(f"/hooks/{listener.pk}/delete/")
    assert not Listener.objects.exists()


# Deliveries


def test_deliveries_are_shown_with_every_attempt(client: Client, listener: Listener) -> None:
    one, event = uuid.uuid4(), uuid.uuid4()
    common: dict[str, Any] = {"delivery": one, "event": event}
    failed = {"outcome": "retry", "status": 503, "error": "answered 503", "answer": b"b\xffsy"}
    attempt(listener, 90, duration_ms=111, **failed, **common)
    attempt(listener, 30, number=2, duration_ms=222, answer=b"x" * 1000, **common)
    attempt(listener, 10, run=str(uuid.uuid4()), outcome="dead", status=None, **common)
    page = text(client.get(f"/hooks/{listener.pk}/"))
    assert page.count("<article") == 2
    for shown in ("503", "111 ms", "answered 503", "b�sy", "222 ms", "replay", str(event)):
        assert shown in page
    assert "x" * 400 in page
    assert "x" * 401 not in page
    assert "x" * 1000 in text(client.get(f"/hooks/{listener.pk}/deliveries/{one}/"))


def test_a_delivery_is_on_one_page_only(client: Client, listener: Listener) -> None:
    slow = uuid.uuid4()
    attempt(listener, 9000, delivery=slow, outcome="retry")
    old = attempt(listener, 8000)
    new = [attempt(listener, ago + 1) for ago in range(deliveries.PAGE - 1)]
    attempt(listener, 0, delivery=slow, number=2)
    first = deliveries.recent(listener)
    assert [d.id for d in first.deliveries] == [slow, *(each.delivery for each in new)]
    assert len(first.deliveries[0].attempts) == 2
    page = text(client.get(f"/hooks/{listener.pk}/"))
    older = re.search(r'href="\?before=(\d+)" rel="next"', page)
    assert older
    second = deliveries.recent(listener, int(older[1]))
    assert [d.id for d in second.deliveries] == [old.delivery]
    assert second.next is None
    assert str(old.event) in text(client.get(f"/hooks/{listener.pk}/", {"before": older[1]}))


def test_attempts_of_the_same_moment_are_all_shown_once(listener: Listener) -> None:
    moment = timezone.now()
    made = {attempt(listener, started_at=moment).delivery for _ in range(60)}
    shown: list[uuid.UUID] = []
    page = deliveries.recent(listener)
    shown += [each.id for each in page.deliveries]
    while page.next is not None:
        page = deliveries.recent(listener, page.next)
        shown += [each.id for each in page.deliveries]
    assert len(shown) == 60
    assert set(shown) == made


def test_nothing_is_counted(client: Client, listener: Listener) -> None:
    for ago in range(30):
        attempt(listener, ago)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        client.get("/hooks/")
        client.get(f"/hooks/{listener.pk}/")
    statements = [query["sql"] for query in queries]
    assert not [sql for sql in statements if "COUNT(" in sql]
    assert len(statements) <= 12


@pytest.mark.parametrize("before", ["x", "-1", "1" * 30, "²", ""])
def test_a_cursor_of_nonsense_is_not_found(client: Client, listener: Listener, before: str) -> None:
    assert client.get("/hooks/", {"before": before}).status_code == 404
    assert client.get(f"/hooks/{listener.pk}/", {"before": before}).status_code == 404


def test_many_listeners_are_paged(client: Client, ann: User) -> None:
    Listener.objects.bulk_create(
        Listener(user=ann, hook="person", url=f"{URL}/{number:03}") for number in range(60)
    )
    first = text(client.get("/hooks/"))
    older = re.search(r'href="(\?before=\d+)"', first)
    assert older
    pages = first + text(client.get("/hooks/" + older[1]))
    assert [pages.count(f"{URL}/{number:03}") for number in range(60)] == [1] * 60


# Whose it is


PATHS = (
    "",
    "edit/",
    "pause/",
    "resume/",
    "delete/",
    "rotate/",
    "secret/",
    f"deliveries/{uuid.UUID(int=1)}/",
)


@pytest.mark.parametrize("path", PATHS)
def test_a_listener_of_somebody_else_is_not_there(listener: Listener, path: str) -> None:
    attempt(listener, delivery=uuid.UUID(int=1))
    other = logged_in(User.objects.create_user("other"))
    missing = 10**18
    for method in (other.get, other.post):
        theirs, nobodys = method(f"/hooks/{listener.pk}/{path}"), method(f"/hooks/{missing}/{path}")
        assert theirs.status_code == nobodys.status_code
        assert theirs.status_code in (404, 405)
    assert URL not in text(other.get("/hooks/"))
    listener.refresh_from_db()
    assert listener.state == Listener.State.ACTIVE
    assert len(listener.signing_secrets()) == 1


def test_another_listeners_delivery_is_not_there(client: Client, listener: Listener) -> None:
    other = Listener.objects.create(hook="person", url=URL)
    theirs = attempt(other)
    page = f"/hooks/{listener.pk}/deliveries/{theirs.delivery}/"
    assert client.get(page).status_code == 404
    assert client.get(f"/hooks/{listener.pk}/", {"before": theirs.pk}).status_code == 404


def test_staff_sees_all(staff: Client, listener: Listener) -> None:
    page = text(staff.get("/hooks/"))
    assert URL in page
    assert "ann" in page
    assert URL in text(staff.get(f"/hooks/{listener.pk}/"))


@pytest.mark.parametrize("path", ["", "select/", "create/", *(f"1/{path}" for path in PATHS)])
def test_every_page_asks_for_a_login(path: str) -> None:
    for response in (Client().get(f"/hooks/{path}"), Client().post(f"/hooks/{path}")):
        assert response.status_code == 302
        assert response["Location"] == f"/accounts/login/?next=/hooks/{path}"


@pytest.mark.parametrize("path", ["create/?type=person", *(f"1/{path}" for path in PATHS)])
def test_no_post_without_a_csrf_token(ann: User, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ann)
    assert client.post(f"/hooks/{path}").status_code == 403


# What browsers may do


def test_nothing_that_came_from_outside_is_markup(client: Client, ann: User) -> None:
    listener = Listener.objects.create(
        user=ann, hook="person", url=URL + EVIL, description=EVIL, match={"name": EVIL},
        config={"headers": {"X-Evil": EVIL}}, state="disabled", state_reason=EVIL,
    )  # fmt: skip
    one = attempt(listener, error=EVIL, answer=EVIL.encode())
    bad = {"url": EVIL, "name_cond": "5", "name_query": EVIL + "(", "json": EVIL, "payload": EVIL}
    pages = [
        client.get("/hooks/"),
        *(client.get(f"/hooks/{listener.pk}/{path}") for path in ("", "edit/", "delete/")),
        client.get(f"/hooks/{listener.pk}/deliveries/{one.delivery}/"),
        client.get("/hooks/select/", {"type": EVIL}),
        client.post(CREATE, bad),
        client.post(CREATE, {**bad, "try": "1"}),
    ]
    for page in pages:
        assert EVIL not in text(page)
        assert "&lt;script&gt;" in text(page)


def test_scripts_and_styles_are_files_of_the_sites_own(client: Client, listener: Listener) -> None:
    for path in ("", "select/", CREATE.removeprefix("/hooks/"), f"{listener.pk}/"):
        response = client.get(f"/hooks/{path}")
        policy = response["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "no-store" in response["Cache-Control"]
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son[a-z]+=", text(response))


def test_assets_of_another_host_are_allowed(client: Client, settings: Settings) -> None:
    for url in ("https://static.example.com/s/", "//static.example.com/s/"):
        settings.STATIC_URL = url
        policy = client.get("/hooks/")["Content-Security-Policy"]
        assert f"script-src 'self' {url.removesuffix('/s/').removeprefix('//')};" in policy


def test_pages_mounted_elsewhere_link_to_each_other(client: Client, listener: Listener) -> None:
    assert client.get("/partners/create/")["Location"] == "/partners/select/"
    for path in ("", f"{listener.pk}/", f"{listener.pk}/edit/"):
        page = text(client.get(f"/partners/{path}"))
        assert "/partners/" in page
        assert "/hooks/" not in page


def test_a_site_may_have_its_own_base_and_policy(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "durian").mkdir()
    (tmp_path / "durian" / "base.html").write_text("My site {% block content %}{% endblock %}")
    (tmp_path / "durian" / "policy.txt").write_text("default-src\n  'self'")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    response = client.get("/hooks/")
    assert text(response).startswith("My site")
    assert "My listeners" in text(response)
    assert response["Content-Security-Policy"] == "default-src 'self'"


# The test receiver


def test_the_test_receiver_shows_staff_what_came(staff: Client, settings: Settings) -> None:
    settings.DEBUG = True
    cache.clear()
    anybody = Client(enforce_csrf_checks=True)
    body = b'{"name": "' + EVIL.encode() + b'\xff"}'
    headers = {"webhook-id": "msg_1", "cookie": "session=1"}
    answer = anybody.post("/hooks/debug/", body, content_type="application/json", headers=headers)
    assert answer.status_code == 200
    page = text(staff.get("/hooks/debug/"))
    assert "msg_1" in page
    assert "&lt;script&gt;" in page
    assert EVIL not in page
    assert "session=1" not in page
    assert anybody.get("/hooks/debug/").status_code == 302


def test_the_test_receiver_is_for_staff(client: Client, settings: Settings) -> None:
    settings.DEBUG = True
    assert client.get("/hooks/debug/").status_code == 403


def test_the_test_receiver_is_not_there_in_production(staff: Client) -> None:
    assert staff.get("/hooks/debug/").status_code == 404
    assert staff.post("/hooks/debug/", {}).status_code == 404


# The admin


def test_the_admin_never_shows_a_secret(staff: Client, listener: Listener) -> None:
    page = text(staff.get(f"/admin/durian/listener/{listener.pk}/change/"))
    assert "whsec_" not in page
    assert listener.secrets not in page
    assert URL in page


def test_the_admin_saves_what_was_changed_and_no_more(staff: Client, listener: Listener) -> None:
    address = f"/admin/durian/listener/{listener.pk}/change/"
    form = staff.get(address).context["adminform"].form
    data = {field.html_name: field.value() or "" for field in form}
    data |= {"description": "changed", "match": "{}", "config": "{}"}

    def rotate(instance: Listener, **_: object) -> None:
        pre_save.disconnect(rotate, sender=Listener)
        Listener.objects.get(pk=instance.pk).rotate_secret(timedelta(0))

    pre_save.connect(rotate, sender=Listener)
    answer = staff.post(address, data)
    assert answer.status_code == 302, text(answer)
    before, version = listener.signing_secrets(), listener.version
    listener.refresh_from_db()
    assert listener.description == "changed"
    assert listener.version > version
    assert listener.signing_secrets() != before


@pytest.mark.parametrize(
    ("action", "state"), [("pause", "paused"), ("disable", "disabled"), ("resume", "active")]
)
def test_the_admin_changes_the_state(
    staff: Client, listener: Listener, action: str, state: str
) -> None:
    before = listener.version
    staff.post("/admin/durian/listener/", {"action": action, "_selected_action": [listener.pk]})
    listener.refresh_from_db()
    assert listener.state == state
    assert listener.version > before


@pytest.mark.parametrize(
    ("action", "state"), [("pause", "active"), ("disable", "active"), ("resume", "paused")]
)
def test_who_may_only_look_at_listeners_changes_no_state(
    onlooker: Client, listener: Listener, action: str, state: str
) -> None:
    listener.set_state(Listener.State(state))
    assert URL in text(onlooker.get("/admin/durian/listener/"))
    onlooker.post("/admin/durian/listener/", {"action": action, "_selected_action": [listener.pk]})
    listener.refresh_from_db()
    assert listener.state == state


def test_who_may_only_look_at_events_publishes_none_again(onlooker: Client) -> None:
    bad = Event.objects.create(hook="person", body="{}", error="too large")
    assert str(bad.pk) in text(onlooker.get("/admin/durian/event/"))
    data = {"action": "publish_again", "_selected_action": [bad.pk]}
    onlooker.post("/admin/durian/event/", data)
    bad.refresh_from_db()
    assert bad.error == "too large"


def test_the_admin_publishes_again_what_was_in_quarantine(
    staff: Client,
    django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[Any]],
) -> None:
    claimed = timezone.now() + timedelta(hours=1)
    bad = Event.objects.create(hook="person", body=EVIL, error="too large", claimed_until=claimed)
    sent = Event.objects.create(hook="person", body="{}", published_at=timezone.now())
    page = text(staff.get("/admin/durian/event/?publishing=quarantined"))
    assert str(bad.pk) in page
    assert str(sent.pk) not in page
    data = {"action": "publish_again", "_selected_action": [bad.pk, sent.pk]}
    told: list[str] = []

    def hear(using: str, **_: object) -> None:
        told.append(using)

    events_committed.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            staff.post("/admin/durian/event/", data)
    finally:
        events_committed.disconnect(hear)
    assert told == ["default"], "whoever publishes need not wait for a sweep"
    bad.refresh_from_db()
    assert bad.error == ""
    assert bad.published_at is None
    assert bad.claimed_until is None, "whoever comes first may publish it"


def test_the_admin_shows_events_and_attempts_to_read(staff: Client, listener: Listener) -> None:
    event = Event.objects.create(hook="person", body=EVIL)
    one = attempt(listener, event=event.pk, answer=EVIL.encode() + b"\xff")
    for path in (f"event/{event.pk}", f"attempt/{one.pk}"):
        page = text(staff.get(f"/admin/durian/{path}/change/"))
        assert "&lt;script&gt;alert(1)" in page
        assert EVIL not in page
        assert staff.post(f"/admin/durian/{path}/change/", {"hook": "x"}).status_code == 403
        assert staff.post(f"/admin/durian/{path}/delete/", {"post": "yes"}).status_code == 403
    for query in (str(event.pk), str(one.delivery), str(listener.pk)):
        assert "1 attempt" in text(staff.get("/admin/durian/attempt/", {"q": query}))
    for query in ("nonsense", "9" * 30):
        assert "0 attempts" in text(staff.get("/admin/durian/attempt/", {"q": query}))
    assert "1 event" in text(staff.get("/admin/durian/event/", {"q": str(event.pk)}))


def test_the_admin_counts_no_big_table(staff: Client, listener: Listener) -> None:
    attempt(listener)
    with CaptureQueriesContext(connection) as queries:
        staff.get("/admin/durian/attempt/")
        staff.get("/admin/durian/event/")
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 10000" in sql for sql in counts)
    assert not [query["sql"] for query in queries if '"answer"' in query["sql"]]

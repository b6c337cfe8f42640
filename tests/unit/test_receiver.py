"""The receiving side: a view sees only what was signed for it, and recently."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.test import AsyncRequestFactory, RequestFactory, override_settings

from durian.errors import InvalidSecret
from durian.receiver import WebhookRequest, webhook
from durian.signing import Signer, generate_key_pair, generate_secret

SECRET = generate_secret()
PAYLOAD = {"name": "George Constanza", "address": "New York City"}


@webhook(SECRET)
def listens(request: WebhookRequest, payload: dict[str, Any]) -> HttpResponse:
    return HttpResponse(f"thanks, {payload['name']}!")


def signed(
    body: bytes | None = None,
    secret: str = SECRET,
    age: float = 0,
    changes: Mapping[str, str] | None = None,
) -> HttpRequest:
    """Return the POST that durian makes, `age` seconds ago, with `changes` of its headers."""
    body = json.dumps(PAYLOAD).encode() if body is None else body
    headers = Signer([secret]).headers("msg_1", int(time.time() - age), body) | dict(changes or {})
    return RequestFactory().post("/hook", body, "application/json", headers=headers)


def answered(view: Callable[..., Any], request: HttpRequest) -> tuple[int, str]:
    response = view(request)
    return response.status_code, response.content.decode()


def test_the_view_of_the_readme_gets_its_payload() -> None:
    assert answered(listens, signed()) == (200, "thanks, George Constanza!")


def test_the_view_knows_which_event_it_is_and_when_it_was_sent() -> None:
    seen: list[tuple[str, int, str]] = []

    @webhook(SECRET)
    def view(request: WebhookRequest, payload: dict[str, Any], kind: str) -> HttpResponse:
        seen.append((request.webhook_id, request.webhook_timestamp, kind))
        return HttpResponse()

    request = signed()
    view(request, kind="person")
    assert seen == [("msg_1", int(request.headers["webhook-timestamp"]), "person")]


def test_the_decorated_view_keeps_its_name() -> None:
    assert listens.__name__ == "listens"


def test_no_csrf_token_is_needed() -> None:
    request = signed()
    request._dont_enforce_csrf_checks = False  # type: ignore[attr-defined]  # the factory sets it
    middleware = CsrfViewMiddleware(lambda _: HttpResponse())
    assert middleware.process_view(request, listens, (), {}) is None
    assert middleware.process_view(request, lambda _: HttpResponse(), (), {}) is not None


@pytest.mark.parametrize("method", ["get", "put", "delete", "head", "options"])
def test_only_posts_are_taken(method: str) -> None:
    response = listens(getattr(RequestFactory(), method)("/hook"))
    assert (response.status_code, response["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "request_",
    [
        lambda: signed(secret=generate_secret()),
        lambda: signed(age=301),
        lambda: signed(age=-310),
        lambda: signed(changes={"webhook-id": "msg_2"}),
        lambda: signed(changes={"webhook-signature": ""}),
        lambda: signed(changes={"webhook-timestamp": "now"}),
        lambda: RequestFactory().post("/hook", PAYLOAD, "application/json"),
        lambda: RequestFactory().post("/hook", b"\xff", "application/json"),
    ],
)
def test_what_is_not_signed_for_us_is_refused_alike(
    request_: Callable[[], HttpRequest], caplog: pytest.LogCaptureFixture
) -> None:
    expected = (401, "The signature or its timestamp is not accepted.\n")
    assert answered(listens, request_()) == expected
    assert "was refused" in caplog.text
    assert SECRET not in caplog.text


def test_the_answer_that_refuses_is_plain_text() -> None:
    assert listens(signed(age=301))["Content-Type"] == "text/plain; charset=utf-8"


def test_the_tolerance_can_be_set() -> None:
    patient = webhook(SECRET, tolerance=900)(lambda request, payload: HttpResponse("ok"))
    assert answered(patient, signed(age=800)) == (200, "ok")
    assert answered(patient, signed(age=910))[0] == 401


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"1", b"{", b'"name"', b"[" * 200_000])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    assert answered(listens, signed(body)) == (400, "The body is not a JSON object.\n")


@pytest.mark.parametrize("limit_of_site", [10, 2**20, None])
def test_a_body_may_be_as_large_as_the_view_says_whatever_the_site_says(
    limit_of_site: int | None,
) -> None:
    small = webhook(SECRET, max_body=40)(lambda request, payload: HttpResponse("ok"))
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=limit_of_site):
        assert answered(small, signed(b'{"a": "%s"}' % (b"x" * 31)))[0] == 200
        refused = answered(small, signed(b'{"a": "%s"}' % (b"x" * 32)))
    assert refused == (413, "The body is too large.\n")


def test_no_more_of_a_large_body_is_read_than_needed() -> None:
    request = signed(b" " * 10_000)
    webhook(SECRET, max_body=100)(lambda request, payload: HttpResponse())(request)
    assert len(request.read()) == 10_000 - 101


def test_a_mebibyte_is_the_limit_by_default() -> None:
    view = webhook(SECRET)(lambda request, payload: HttpResponse("ok"))
    assert answered(view, signed(b" " * (1024 * 1024 - 2) + b"{}"))[0] == 200
    assert answered(view, signed(b" " * (1024 * 1024 - 1) + b"{}"))[0] == 413


def test_a_body_that_a_middleware_has_read_is_verified_all_the_same() -> None:
    request = signed()
    assert request.body
    assert answered(listens, request)[0] == 200


def test_during_a_rotation_both_secrets_are_accepted() -> None:
    old = generate_secret()
    view = webhook([SECRET, old])(lambda request, payload: HttpResponse("ok"))
    assert answered(view, signed())[0] == 200
    assert answered(view, signed(secret=old))[0] == 200


def test_a_public_key_is_accepted_for_a_secret() -> None:
    private, public = generate_key_pair()
    view = webhook(public)(lambda request, payload: HttpResponse("ok"))
    assert answered(view, signed(secret=private))[0] == 200
    assert answered(view, signed())[0] == 401


def test_secrets_may_depend_on_the_request() -> None:
    tenants = {"one": [SECRET], "two": [generate_secret()]}

    def secrets(request: HttpRequest) -> list[str]:
        return tenants.get(request.headers.get("x-tenant", ""), [])

    view = webhook(secrets)(lambda request, payload: HttpResponse("ok"))
    assert answered(view, signed(changes={"x-tenant": "one"}))[0] == 200
    assert answered(view, signed(changes={"x-tenant": "two"}))[0] == 401
    assert answered(view, signed(changes={"x-tenant": "three"}))[0] == 401


@pytest.mark.parametrize("secret", ["", "whsec_short", []])
def test_a_secret_that_is_none_is_the_sites_own_mistake(secret: str | list[str]) -> None:
    with pytest.raises(InvalidSecret):
        webhook(secret)(lambda request, payload: HttpResponse())(signed())


def test_an_async_view_is_awaited_and_guarded() -> None:
    @webhook(SECRET)
    async def view(request: WebhookRequest, payload: dict[str, Any]) -> HttpResponse:
        await asyncio.sleep(0)
        return HttpResponse(f"{request.webhook_id} {payload['name']}")

    assert iscoroutinefunction(view)
    assert view.csrf_exempt  # type: ignore[attr-defined]
    body = json.dumps(PAYLOAD).encode()
    headers = Signer([SECRET]).headers("msg_1", int(time.time()), body)
    post = AsyncRequestFactory().post
    good = post("/hook", body, "application/json", headers=headers)
    bad = post("/hook", body + b" ", "application/json", headers=headers)
    answer = asyncio.run(view(good))
    assert (answer.status_code, answer.content) == (200, b"msg_1 George Constanza")
    assert asyncio.run(view(bad)).status_code == 401

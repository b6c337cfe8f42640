"""A receiver for trying things out, only with DEBUG: it shows staff what was posted to it."""

from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.mixins import UserPassesTestMixin
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from durian.web.page import Page, is_staff

CACHE_KEY = "durian.debug"
KEPT = 20
MAX_BODY = 64 * 1024
SHOWN_HEADERS = ("webhook-", "durian-", "content-type", "user-agent")


class Posted(NamedTuple):
    """One request as it came; `body` is cut at MAX_BODY bytes."""

    at: datetime
    headers: dict[str, str]
    body: bytes


class ShowPosted(UserPassesTestMixin, Page):
    """What was posted, the newest first."""

    def test_func(self) -> bool:
        """Let in staff alone: payloads are of all users."""
        return is_staff(self.request.user)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        return render(request, "durian/debug.html", {"posted": cache.get(CACHE_KEY, [])})


@csrf_exempt
def debug(request: HttpRequest) -> HttpResponseBase:
    """Take a POST from anywhere, or show what came. Raises Http404 without DEBUG."""
    if not settings.DEBUG:
        raise Http404("The test receiver is there only with DEBUG.")
    return _receive(request) if request.method == "POST" else ShowPosted.as_view()(request)


def _receive(request: HttpRequest) -> HttpResponse:
    headers = {
        name: value
        for name, value in request.headers.items()
        if name.lower().startswith(SHOWN_HEADERS)
    }
    posted = Posted(timezone.now(), headers, request.body[:MAX_BODY])
    cache.set(CACHE_KEY, [posted, *cache.get(CACHE_KEY, [])][:KEPT])
    return HttpResponse("thanks!", content_type="text/plain")

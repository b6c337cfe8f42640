"""What all pages have in common: who may see them, and what browsers may do with them."""

from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import router
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.generic.base import View

from durian.ids import LARGEST_ROW
from durian.models import Listener

POLICY = "Content-Security-Policy"


def reverse_beside(request: HttpRequest, name: str, *args: Any) -> str:
    """Return the address of the page `name`, in the namespace of the page that is asked for."""
    namespace = request.resolver_match.namespace if request.resolver_match else ""
    return reverse(f"{namespace}:{name}" if namespace else name, args=args)


def visible_to(user: Any) -> QuerySet[Listener]:
    """Return the listeners that `user` may see and change: their own, or all for staff."""
    # Not from a replica, which may not have yet what this user has just made.
    listeners = Listener.objects.using(router.db_for_write(Listener))
    return listeners.all() if is_staff(user) else listeners.filter(user=user)


def is_staff(user: Any) -> bool:
    """Say whether `user` sees what is of all users; a user model need not know of staff."""
    return bool(getattr(user, "is_staff", False))


class Page(LoginRequiredMixin, View):
    """A page for who is logged in; never kept in a cache, and with a policy for its contents."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, with the headers that every page has."""
        response = super().dispatch(request, *args, **kwargs)
        add_never_cache_headers(response)
        response.headers.setdefault(POLICY, policy())
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        return response

    def listener(self, pk: int) -> Listener:
        """Return the user's listener `pk`; somebody else's is not there. Raises Http404."""
        listeners = visible_to(self.request.user)
        # Django 4.2 asks SQLite for any number, which raises an OverflowError beyond 64 bits.
        return get_object_or_404(listeners.none() if pk > LARGEST_ROW else listeners, pk=pk)

    def redirect(self, name: str, *args: Any, query: str = "") -> HttpResponseRedirect:
        """Return a redirect to another of these pages."""
        return HttpResponseRedirect(reverse_beside(self.request, name, *args) + query)


def policy() -> str:
    """Return the Content-Security-Policy; a site that has a base.html of its own may have its own
    durian/policy.txt too."""
    parts = urlsplit(static("durian/pages.css"))
    assets = f"{parts.scheme}://{parts.netloc}" if parts.scheme else parts.netloc
    return " ".join(render_to_string("durian/policy.txt", {"assets": assets}).split())

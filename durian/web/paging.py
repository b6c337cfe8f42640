"""Pages of many rows without counting them: each begins where the one before it ended."""

from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest

M = TypeVar("M", bound=Model)

MAX_DIGITS = 18
"""Of a row's number: below the largest number that databases keep."""


class Slice(Generic[M]):
    """The first `size` of `rows`, and whether there are more."""

    def __init__(self, rows: "QuerySet[M]", size: int) -> None:
        found = list(rows[: size + 1])
        self.rows = found[:size]
        self.more = len(found) > size


def cursor(request: HttpRequest) -> int | None:
    """Return the number in `?before=`, None without one. Raises Http404 for what is no number."""
    text: Any = request.GET.get("before")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise Http404("`before` must be the number of a row.")
    return int(text)

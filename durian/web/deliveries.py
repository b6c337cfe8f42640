"""What became of the events that a listener asked for: its attempts, by delivery."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import BinaryField, QuerySet
from django.db.models.functions import Length, Substr
from django.http import Http404

from durian.models import Attempt, Listener
from durian.web.paging import Slice

PAGE = 25
EXCERPT = 400
"""Bytes of an answer that the list shows; the page of one delivery shows all that was kept."""

Key = tuple[UUID, str]


@dataclass(frozen=True)
class Delivery:
    """One event on its way to one listener; a replay is another `run` of the same delivery."""

    id: UUID
    run: str
    attempts: Sequence[Attempt]

    @property
    def last(self) -> Attempt:
        """The newest attempt, whose outcome is the delivery's."""
        return self.attempts[-1]


@dataclass(frozen=True)
class Recent:
    """Some deliveries, the newest first, and the attempt before which the next ones are."""

    deliveries: Sequence[Delivery]
    next: int | None


def recent(listener: Listener, before: int | None = None) -> Recent:
    """Return the deliveries whose newest attempt is among the PAGE attempts before `before`.

    Nothing is counted, and nothing is read but these attempts and the others of their deliveries.
    Raises Http404 when the attempt `before` is not of this listener, or is in the log no more.
    """
    attempts = of(listener).order_by("-started_at", "-pk")
    if before is not None:
        attempts = _older(attempts, before)
    window = Slice(attempts.only("delivery", "run"), PAGE)
    newest = {attempt.pk for attempt in window.rows}
    found = group(
        of(listener)
        .filter(delivery__in={attempt.delivery for attempt in window.rows})
        .defer("answer")
        .annotate(
            excerpt=Substr("answer", 1, EXCERPT, output_field=BinaryField()),
            answer_bytes=Length("answer"),
        )
    )
    # A delivery whose newest attempt is not here was on an earlier page.
    shown = [delivery for delivery in found if delivery.last.pk in newest]
    return Recent(shown, window.rows[-1].pk if window.more else None)


def one(listener: Listener, delivery: UUID) -> Sequence[Delivery]:
    """Return all runs of a delivery, the newest first. Raises Http404 when there is none."""
    runs = group(of(listener).filter(delivery=delivery))
    if not runs:
        raise Http404("The log has no such delivery.")
    return runs


def as_text(value: bytes | memoryview) -> str:
    """Return bytes from anywhere as text; what is no UTF-8 is replaced."""
    return bytes(value).decode("utf-8", "replace")


def of(listener: Listener) -> QuerySet[Attempt]:
    """Return the attempts of `listener`."""
    return Attempt.objects.filter(listener_id=listener.pk)


def group(attempts: Iterable[Attempt]) -> Sequence[Delivery]:
    """Return the deliveries that `attempts` were made for, the one tried last first."""
    groups: dict[Key, list[Attempt]] = {}
    for attempt in sorted(attempts, key=_age):
        groups.setdefault((attempt.delivery, attempt.run), []).append(attempt)
    deliveries = [Delivery(id, run, members) for (id, run), members in groups.items()]
    return sorted(deliveries, key=lambda delivery: _age(delivery.last), reverse=True)


def _age(attempt: Attempt) -> tuple[object, int]:
    return attempt.started_at, attempt.pk


def _older(attempts: QuerySet[Attempt], before: int) -> QuerySet[Attempt]:
    last = attempts.filter(pk=before).values_list("started_at", flat=True).first()
    if last is None:
        raise Http404("The log has no such attempt of this listener.")
    # `started_at <= last` is what the index can begin at.
    return attempts.filter(started_at__lte=last).exclude(started_at=last, pk__gte=before)

"""What the demo shows: a live table on a terminal, lines in a pipe."""

from collections import deque
from types import TracebackType

from django.utils import timezone
from rich.console import Console
from rich.live import Live
from rich.table import Table

from durian.models import Attempt

LINES = 16
COLOURS = {
    Attempt.Outcome.DELIVERED: "green",
    Attempt.Outcome.RETRY: "yellow",
    Attempt.Outcome.DEAD: "red",
    Attempt.Outcome.CANCELLED: "dim",
}


class Screen:
    """Shows attempts as they are logged; call `refresh` now and then."""

    def __init__(self, names: dict[int, str]) -> None:
        self._names = names
        self._console = Console(highlight=False)
        self._rows: deque[Attempt] = deque(maxlen=LINES)
        self._last = 0
        self._counts = dict.fromkeys(Attempt.Outcome.values, 0)
        self._live = Live(console=self._console, auto_refresh=False)

    def __enter__(self) -> "Screen":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, soft_wrap=True)

    def refresh(self) -> None:
        """Show what has been logged since the last time."""
        new = list(Attempt.objects.filter(pk__gt=self._last).order_by("pk"))
        for attempt in new:
            self._last = attempt.pk
            self._rows.append(attempt)
            self._counts[attempt.outcome] += 1
            if not self._console.is_terminal:
                self.say("  ".join(self._cells(attempt)))
        if new and self._console.is_terminal:
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        caption = ", ".join(f"{count} {outcome}" for outcome, count in self._counts.items())
        table = Table("time", "event", "listener", "try", "answer", "ms", "outcome", box=None)
        table.caption = caption
        for attempt in self._rows:
            table.add_row(*self._cells(attempt), style=COLOURS[Attempt.Outcome(attempt.outcome)])
        return table

    def _cells(self, attempt: Attempt) -> list[str]:
        return [
            timezone.localtime(attempt.started_at).strftime("%H:%M:%S"),
            f"{attempt.hook:12}",
            f"{self._names.get(attempt.listener_id, str(attempt.listener_id)):12}",
            str(attempt.number),
            str(attempt.status or "none"),
            f"{attempt.duration_ms:4}",
            attempt.outcome,
        ]

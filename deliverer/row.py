"""An attempt as a row of the log: what a POST came to, without what a model of Django's costs."""

from datetime import datetime
from typing import NamedTuple

from durian.database import as_stored
from durian.models import Attempt


class Row(NamedTuple):
    """The fields of an Attempt, by their names; no row of the database yet."""

    delivery: str
    run: str
    number: int
    event: str
    listener_id: int
    hook: str
    outcome: str
    status: int | None
    duration_ms: int
    error: str
    answer: bytes
    started_at: datetime

    def attempt(self) -> Attempt:
        """Return it as a model, which is not saved."""
        return Attempt(**self._asdict() | {"started_at": as_stored(self.started_at)})

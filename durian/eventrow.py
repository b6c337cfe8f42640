"""An event as a row: what a site's request writes and a relay reads, with no model around it.

A model's instance costs several times as much, and both do this for each event.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from durian.models import Event


class EventRow(NamedTuple):
    """The columns of `Event`, in their order."""

    id: UUID
    hook: str
    body: str
    envelope: str
    archive: bool
    created_at: datetime
    claimed_until: datetime | None
    published_at: datetime | None = None
    error: str = ""

    def event(self, using: str) -> Event:
        """Return it as an instance that was read from the database `using`."""
        return Event.from_db(using, self._fields, self)

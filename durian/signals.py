"""Django signals of durian's own."""

from django.dispatch import Signal

claim_requested = Signal()
"""Sent with `count` before so many events are recorded. A receiver that will publish them itself,
once they are committed, returns the time until which nobody else shall, or else None."""

events_recorded = Signal()
"""Sent with `events`, a list, once they were written to the outbox, within the transaction."""

events_committed = Signal()
"""Sent with `using` and `rows`, a list of EventRow, once these were committed to that database's
outbox; with none when something else is there to be published."""

dispatch_requested = Signal()
"""Sent with `event` once an event of a hook that dispatches in-process was committed, and with
`outcomes`, the list to put them into."""

listener_disabled = Signal()
"""Sent with `listener` and `reason` once durian disabled a listener: tell its owner."""

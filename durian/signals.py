"""Django signals of durian's own."""

from django.dispatch import Signal

events_recorded = Signal()
"""Sent with `events`, a list, once they were written to the outbox, within the transaction."""

events_committed = Signal()
"""Sent with `using` once events of a hook were committed to that database's outbox."""

dispatch_requested = Signal()
"""Sent with `event` once an event of a hook that dispatches in-process was committed, and with
`outcomes`, the list to put them into."""

listener_disabled = Signal()
"""Sent with `listener` and `reason` once durian disabled a listener: tell its owner."""

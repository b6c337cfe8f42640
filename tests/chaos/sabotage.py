"""Proves that the harness can fail: every message is acked before it is handled."""

import threading
from functools import partial
from typing import Any
from unittest import mock

from django.apps import AppConfig

from durian.wire.pump import Pump

MOMENT_SECONDS = 0.3


class SabotageConfig(AppConfig):
    """In INSTALLED_APPS it turns the pump's order around."""

    name = "tests.chaos.sabotage"
    label = "sabotage"

    def ready(self) -> None:
        """Ack first, handle a moment later, and never ack again."""
        original = Pump._on_message

        def ack_then_handle(pump: Any, incoming: Any) -> None:
            pump._consumer.ack(incoming.tag)
            later = partial(pump._later, partial(original, pump, incoming))
            threading.Timer(MOMENT_SECONDS, later).start()

        def forget(pump: Any, job: Any) -> None:
            pump._jobs.end(job)

        # Unlike setattr, it complains when there is no such method any more.
        mock.patch.object(Pump, "_on_message", ack_then_handle).start()
        mock.patch.object(Pump, "_ack", forget).start()

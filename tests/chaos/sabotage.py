"""Proves that the harness can fail: every message is acked before it is handled."""

from typing import Any

from django.apps import AppConfig

from durian.wire.pump import Pump


class SabotageConfig(AppConfig):
    """In INSTALLED_APPS it turns the pump's order around."""

    name = "tests.chaos.sabotage"
    label = "sabotage"

    def ready(self) -> None:
        """Ack first, handle then, and never ack again."""
        original = Pump._on_message

        def ack_then_handle(pump: Any, incoming: Any) -> None:
            pump._consumer.ack(incoming.tag)
            original(pump, incoming)

        def forget(pump: Any, job: Any) -> None:
            pump._in_flight -= 1

        Pump._on_message = ack_then_handle  # type: ignore[method-assign]
        Pump._ack = forget  # type: ignore[method-assign]

"""The faults, by name, in the order in which they run."""

from tests.chaos.faults import broker, database, network, operator, processes, receiver, upgrade
from tests.chaos.faults.registry import FAULTS, Fault

__all__ = ["FAULTS", "SABOTAGED", "SHORT", "Fault"]

SHORT = ("kill-deliverer", "broker-killed", "postgres-killed")
"""The short form, for `make test`."""
SABOTAGED = ("kill-matcher", "kill-deliverer")
"""What a harness that works must find losses in, once messages are acked too early."""

MODULES = (processes, database, broker, network, operator, receiver, upgrade)

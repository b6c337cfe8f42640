"""A receiver of webhooks for trying things out: well-behaved, failing now and then, or hostile."""

from durian.simulator.behaviour import Behaviour, Seen
from durian.simulator.certificates import TLS_MODES
from durian.simulator.command import HELP, add_arguments, run
from durian.simulator.modes import MODES
from durian.simulator.server import Simulator

__all__ = ["HELP", "MODES", "TLS_MODES", "Behaviour", "Seen", "Simulator", "add_arguments", "run"]

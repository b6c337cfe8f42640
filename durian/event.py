"""What can happen: hooks, raised by hand, by a Django signal, or by a signal of a model."""

from durian.hook import Hook, Sent
from durian.signalhook import ModelHook, SignalHook
from durian.subscription import IntermediateListener

__all__ = ["Hook", "IntermediateListener", "ModelHook", "Sent", "SignalHook"]

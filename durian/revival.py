"""Another chance for dead letters, save for those that would be cancelled."""

from django.db import router

from durian.models import Listener
from durian.wire.broker import Outgoing
from durian.wire.deadletters import Leave, Letter, revived
from durian.wire.topology import Topology


class Revival:
    """Visits letters: sends them again, and leaves those whose listener is not active.

    What is sent to one that is paused, disabled or deleted is cancelled, and no letter any more.
    `left` is how many it has left.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        listeners = Listener.objects.using(router.db_for_write(Listener))
        active = listeners.filter(state=Listener.State.ACTIVE)
        self._active = frozenset(active.values_list("pk", flat=True))
        self.left = 0
        self._resting: set[int] = set()

    def __call__(self, letter: Letter) -> Leave | Outgoing:
        """Return what to do with `letter`."""
        listener = letter.autopsy.listener
        if listener and listener not in self._active:
            self.left += 1
            self._resting.add(listener)
            return Leave.IN_PLACE
        return revived(self._topology, letter)

    @property
    def listeners(self) -> str:
        """The listeners of those that it has left, by number, as a text."""
        return ", ".join(map(str, sorted(self._resting)))

"""What the broker refuses without saying which: each is sent alone, until the culprit is found."""

from collections.abc import Callable

from durian.errors import MessageRefused, Unavailable
from durian.wire.broker import Confirmed, Consumer, OnMessage, Outgoing, QueueState, Refused
from durian.wire.sender import Sender
from durian.wire.topology import Topology
from durian.wire.wakeup import Wakeup

COUNT = 1000


class Choosy:
    """A broker that closes the connection at one message; what came before is confirmed or not."""

    def __init__(self, refuses: bytes) -> None:
        self.topology = Topology()
        self.refuses = refuses
        self.connections = 0
        self.published = 0

    def publisher(self) -> "ChoosyPublisher":
        self.connections += 1
        return ChoosyPublisher(self)

    def consumer(
        self, queue: str, prefetch: int, on_message: OnMessage, width: int = 1
    ) -> Consumer:
        raise Unavailable("Nobody consumes here.")

    def declare(self, public: bool) -> None:
        """Do nothing."""

    def missing_exchanges(self, public: bool) -> list[str]:
        return []

    def states(self) -> list[QueueState]:
        return []


class ChoosyPublisher:
    blocked = False

    def __init__(self, broker: Choosy) -> None:
        self._broker = broker
        self._open: list[tuple[Outgoing, Confirmed]] = []
        self._wakeup = Wakeup()

    def fileno(self) -> int:
        return self._wakeup.fileno()

    def publish(self, message: Outgoing, confirmed: Confirmed, refused: Refused) -> None:
        self._broker.published += 1
        self._open.append((message, confirmed))

    def flush(self) -> None:
        """Do nothing."""

    def read(self) -> None:
        if any(message.body == self._broker.refuses for message, _ in self._open):
            raise MessageRefused("too large")
        settled, self._open = self._open, []
        for _, confirmed in settled:
            confirmed()

    @property
    def pending(self) -> int:
        return len(self._open)

    def close(self) -> None:
        """Do nothing."""


def send(broker: Choosy, count: int) -> tuple[list[bytes], list[bytes]]:
    """Send so many and return what was confirmed and what was refused for good."""
    sender, confirmed, refused = Sender(broker), list[bytes](), list[bytes]()

    def note(into: list[bytes], body: bytes) -> Callable[..., None]:
        return lambda *_: into.append(body)

    for number in range(count):
        body = str(number).encode()
        message = Outgoing("", "queue", body)
        sender.send(message, note(confirmed, body), note(refused, body))
    for _ in range(10 * count):
        if sender.idle:
            break
        sender.turn()
    return confirmed, refused


def test_the_culprit_is_found_without_sending_the_others_many_times() -> None:
    broker = Choosy(refuses=b"500")
    confirmed, refused = send(broker, COUNT)
    assert refused == [b"500"]
    assert len(confirmed) == COUNT - 1
    assert broker.published <= 2 * COUNT
    assert broker.connections == 3


def test_who_is_not_found_again_does_not_slow_the_others_down_for_ever() -> None:
    broker = Choosy(refuses=b"0")
    confirmed, refused = send(broker, 2 * COUNT)
    assert (len(confirmed), refused) == (2 * COUNT - 1, [b"0"])
    assert broker.connections == 3

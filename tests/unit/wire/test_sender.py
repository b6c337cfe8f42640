"""What the broker refuses without saying which: each is sent alone, until the culprit is found."""

import time
from collections.abc import Callable, Iterator

import pytest

from durian.errors import MessageRefused, Unavailable
from durian.wire.backoff import Backoff
from durian.wire.broker import Confirmed, Outgoing, Refused
from durian.wire.publishing import MAX_UNCONFIRMED
from durian.wire.sender import (
    BLIND_BYTES,
    GATHER_MOST,
    GATHER_SECONDS,
    MANY_BYTES,
    MAX_ASIDE,
    Sender,
)
from durian.wire.topology import Topology
from durian.wire.wakeup import Wakeup
from tests.publishing import PublishingOnly

COUNT = 1000


class Choosy(PublishingOnly):
    """A broker that closes the connection at one message; what came before is confirmed or not."""

    def __init__(self, refuses: bytes) -> None:
        self.topology = Topology()
        self.refuses = refuses
        self.connections = 0
        self.published = 0
        self.alarm = False

    def publisher(self) -> "ChoosyPublisher":
        self.connections += 1
        return ChoosyPublisher(self)


class ChoosyPublisher:
    def __init__(self, broker: Choosy) -> None:
        self.blocked = False
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
        # The broker says so only to who publishes.
        self.blocked = self._broker.alarm and bool(self._open)
        if self.blocked:
            return
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


def test_little_is_written_to_a_broker_that_has_an_alarm_by_then() -> None:
    broker, confirmed = Choosy(refuses=b"none"), list[bytes]()
    sender, body = Sender(broker), bytes(BLIND_BYTES // 4)
    for _ in range(100):
        message = Outgoing("", "queue", body)
        sender.send(message, lambda: confirmed.append(body), lambda error: None)
    broker.alarm = True
    sender.turn()
    assert broker.published == 4
    broker.alarm = False
    for _ in range(100):
        sender.turn()
    assert confirmed == [body] * 100


def patient(sender: Sender, count: int, confirmed: list[bytes]) -> None:
    for number in range(count):
        message = Outgoing("", "queue", str(number).encode(), patient=True)
        sender.send(message, lambda: confirmed.append(b""), lambda error: None)


def test_who_is_patient_leaves_together_with_who_comes_soon_after() -> None:
    broker, confirmed = Choosy(refuses=b"none"), list[bytes]()
    sender = Sender(broker)
    began = time.monotonic()
    patient(sender, 1, confirmed)
    while not broker.published:
        assert not sender.idle
        assert sender.patience(1.0) <= GATHER_SECONDS
        time.sleep(sender.patience(1.0) / 3 + 0.0001)
        patient(sender, 1, confirmed)
        sender.turn()
    assert time.monotonic() - began >= GATHER_SECONDS
    assert broker.published >= 2
    sender.turn()
    assert sender.idle
    assert len(confirmed) == broker.published
    assert sender.patience(1.0) == 1.0


def test_nobody_waits_for_who_is_patient_and_many_do_not_wait() -> None:
    broker, confirmed = Choosy(refuses=b"none"), list[bytes]()
    sender = Sender(broker)
    patient(sender, 1, confirmed)
    sender.send(Outgoing("", "queue", b"now"), lambda: confirmed.append(b"now"), lambda error: None)
    sender.turn()
    sender.turn()
    assert confirmed == [b"now"]
    patient(sender, GATHER_MOST - 1, confirmed)
    sender.turn()
    assert broker.published == GATHER_MOST + 1


class Full(PublishingOnly):
    """A broker whose queues take nothing for now."""

    topology = Topology()

    def publisher(self) -> "FullPublisher":
        return FullPublisher()


class FullPublisher(ChoosyPublisher):
    def __init__(self) -> None:
        super().__init__(Choosy(b""))

    def publish(self, message: Outgoing, confirmed: Confirmed, refused: Refused) -> None:
        refused(Unavailable("The queue is full."))


def test_no_more_is_wanted_than_is_kept_for_queues_that_take_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sender, message, rounds = Sender(Full()), Outgoing("", "queue", b""), 0
    while not sender.crowded and rounds < 2 * MAX_ASIDE / COUNT:
        rounds += 1
        for _ in range(COUNT):
            sender.send(message, lambda: None, lambda error: None)
        sender.turn()
        # It is not taken up again meanwhile.
        monkeypatch.setattr(Backoff, "due", False)
    assert rounds == MAX_ASIDE / COUNT


class Crowd:
    """So many messages, which counts how many of them have been made."""

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        self.size = size
        self.made = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Outgoing]:
        for number in range(self.count):
            self.made += 1
            yield Outgoing("", "queue", str(number).encode().rjust(self.size))


@pytest.mark.parametrize(("size", "most"), [(10, MAX_UNCONFIRMED), (2**20, MANY_BYTES / 2**20)])
def test_of_many_messages_no_more_are_made_than_can_be_under_way(size: int, most: float) -> None:
    crowd, broker = Crowd(5 * int(most), size), Choosy(refuses=b"")
    sender, confirmed = Sender(broker), list[None]()
    broker.alarm = True
    sender.send_all(crowd, lambda: confirmed.append(None), lambda error: None)
    for _ in range(5):
        sender.turn()
    assert 0 < crowd.made <= most
    assert not sender.idle
    broker.alarm = False
    while not sender.idle:
        sender.turn()
        assert crowd.made - len(confirmed) <= most
    assert len(confirmed) == len(crowd)


def test_large_messages_are_soon_too_many() -> None:
    broker = Choosy(refuses=b"")
    broker.alarm = True
    sender, message = Sender(broker), Outgoing("", "queue", bytes(MANY_BYTES // 4))
    for _ in range(4):
        assert not sender.crowded
        sender.send(message, lambda: None, lambda error: None)
    assert sender.crowded
    broker.alarm = False
    while not sender.idle:
        sender.turn()
    assert not sender.crowded


def test_what_is_refused_for_good_counts_no_more() -> None:
    broker = Choosy(refuses=b"x" * MANY_BYTES)
    sender, refused = Sender(broker), list[MessageRefused]()
    sender.send(Outgoing("", "queue", broker.refuses), lambda: None, refused.append)
    assert sender.crowded
    while not sender.idle:
        sender.turn()
    assert len(refused) == 1
    assert not sender.crowded

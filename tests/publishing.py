"""What brokers of the tests have in common that can only be published to."""

from durian.errors import Unavailable
from durian.wire.broker import Consumer, OnMessage, QueueState


class PublishingOnly:
    """A broker without its publisher."""

    def consumer(
        self, queue: str, prefetch: int, on_message: OnMessage, width: int = 1
    ) -> Consumer:
        """Raise: nobody consumes here."""
        raise Unavailable("It has no queues.")

    def declare(self, public: bool) -> None:
        """Do nothing."""

    def missing_exchanges(self, public: bool) -> list[str]:
        """Return nothing."""
        return []

    def states(self) -> list[QueueState]:
        """Return nothing."""
        return []

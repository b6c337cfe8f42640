"""RabbitMQ: what is declared on it, what is there, and the connections to it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import amqp
from amqp.exceptions import NotFound, PreconditionFailed
from kombu import Connection

from durian.errors import ConfigurationError, TopologyError, Unavailable
from durian.wire.broker import OnMessage, QueueState
from durian.wire.link import Link, as_unavailable
from durian.wire.rabbitconsumer import RabbitConsumer
from durian.wire.rabbitpublisher import RabbitPublisher
from durian.wire.topology import Topology

SCHEMES = ("amqp://", "amqps://", "pyamqp://")


class RabbitMQ:
    """A RabbitMQ, or a cluster: `url` may name several nodes, separated by semicolons."""

    def __init__(self, url: str, topology: Topology) -> None:
        self.topology = topology
        self._urls = url.split(";")
        _check(self._urls)

    def publisher(self) -> RabbitPublisher:
        """Connect and return a publisher. Raises Unavailable."""
        with self._link() as link:
            return RabbitPublisher(link)

    def consumer(
        self, queue: str, prefetch: int, on_message: OnMessage, width: int = 1
    ) -> RabbitConsumer:
        """Connect and consume `queue`. Raises Unavailable, TopologyError if there is no queue."""
        with self._link() as link:
            return RabbitConsumer(link, queue, prefetch, on_message, width)

    def declare(self, public: bool) -> None:
        """Make the exchanges and queues that are missing; `public` asks for the public exchange.

        Raises TopologyError when one is there with other arguments.
        """
        names = self.topology
        with self._link() as link, closing(link), _as_topology_error():
            for exchange in names.exchanges(public):
                link.channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
            for queue in names.queues():
                link.channel.queue_declare(
                    queue.name, durable=True, auto_delete=False, arguments=queue.arguments
                )
            link.channel.queue_bind(names.match, names.events, "#")

    def missing_exchanges(self, public: bool) -> list[str]:
        """Return the exchanges that are not there. Raises Unavailable."""
        with self._link() as link, closing(link):
            return [
                name
                for name in self.topology.exchanges(public)
                if not _has_exchange(link.channel, name)
            ]

    def states(self) -> list[QueueState]:
        """Return every queue as it is now, in the topology's order. Raises Unavailable."""
        with self._link() as link, closing(link):
            return [_state(link.channel, queue.name) for queue in self.topology.queues()]

    @contextmanager
    def _link(self) -> Iterator[Link]:
        link = Link(self._urls)
        try:
            with as_unavailable():
                yield link
        except Unavailable:
            link.close()
            raise


def _check(urls: list[str]) -> None:
    if not all(url.startswith(SCHEMES) for url in urls):
        # kombu would take it for the name of a host, or for guest at this machine.
        raise ConfigurationError(
            "DURIAN['BROKER_URL'] has a semicolon without amqp:// or amqps:// behind it: each node "
            "of a cluster has a URL of its own, and in a password a semicolon is written as %3B."
        )
    try:
        hosts = [Connection(url).hostname or "" for url in urls]
    except ValueError:
        # Without its cause, which may quote a part of the password.
        raise ConfigurationError(
            "DURIAN['BROKER_URL'] is no URL that can be read: special characters in the user's "
            "name and password must be percent-encoded, such as %2F for a slash."
        ) from None
    for host in hosts:
        _check_host(host)


def _check_host(host: str) -> None:
    try:
        # As a socket does it.
        host.encode("idna")
    except UnicodeError as error:
        raise ConfigurationError(
            f"DURIAN['BROKER_URL'] names the host {host!r}, which can be no host's name: a part "
            "between two dots is empty or too long."
        ) from error


def _has_exchange(channel: amqp.Channel, name: str) -> bool:
    try:
        channel.exchange_declare(name, "topic", passive=True)
    except NotFound:
        return False
    return True


def _state(channel: amqp.Channel, name: str) -> QueueState:
    try:
        found = channel.queue_declare(name, passive=True)
    except NotFound:
        # The broker has closed the channel, and py-amqp has opened it again.
        return QueueState(name, False)
    return QueueState(name, True, found.message_count, found.consumer_count)


@contextmanager
def _as_topology_error() -> Iterator[None]:
    try:
        yield
    except PreconditionFailed as error:
        raise TopologyError(
            f"What is on the broker is not what durian would declare ({error.reply_text}). "
            "Empty it, delete it, and run `manage.py durian topology` again."
        ) from error

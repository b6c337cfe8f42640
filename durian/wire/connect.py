"""From a URL to a broker."""

from functools import cache

from durian.errors import ConfigurationError
from durian.wire.broker import Broker
from durian.wire.memory import MemoryBroker
from durian.wire.rabbitmq import SCHEMES, RabbitMQ
from durian.wire.topology import Topology

MEMORY = "memory://"


@cache
def broker(url: str, prefix: str) -> Broker:
    """Return the broker at `url` (amqp, amqps, or memory) with all names prefixed by `prefix`.

    A broker in memory is the same one for all of a process. Nothing is connected yet. Raises
    ConfigurationError for another scheme, and for what is no URL.
    """
    if url.startswith(MEMORY):
        return MemoryBroker(Topology(prefix))
    if url.startswith(SCHEMES):
        return RabbitMQ(url, Topology(prefix))
    scheme, colon, _ = url.partition("://")
    # What is no URL may be a password in the wrong place.
    found = f"the scheme {scheme[:20]!r}" if colon else "no scheme"
    raise ConfigurationError(
        f"DURIAN['BROKER_URL'] has {found}; durian works with amqp://, amqps:// "
        "and, within one process, memory://."
    )

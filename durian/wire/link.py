"""One connection to RabbitMQ with one channel, in the hands of one thread."""

import logging
import select
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import amqp
from amqp.exceptions import AMQPError, NotFound
from amqp.spec import Connection as method
from kombu import Connection

from durian.errors import TopologyError, Unavailable
from durian.wire.acks import Ack
from durian.wire.broker import Outgoing
from durian.wire.buffers import Buffers
from durian.wire.frames import Delivered, Deliveries, ack, publish

logger = logging.getLogger("durian.wire")

CONNECT_SECONDS = 5.0
IO_SECONDS = 10.0
"""How long a write, or the rest of a frame, may take before the connection counts as lost."""
CLOSE_SECONDS = 2.0
CLOSE_OK = bytes.fromhex("01 0000 00000004 000a 0033 ce")
"""The last frame of a connection: method 51 of class 10 on channel 0."""
READ_SECONDS = 0.1
"""How long one `read` may go on while more and more arrives: its caller has other things to do."""
HEARTBEAT_SECONDS = 15
DECLARE = "Run `manage.py durian topology` to declare what is missing."


class Link:
    """A connection to the first of the nodes at `urls` that answers. Raises Unavailable."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.blocked = False
        self.lost = False
        self._talking = _Talking(self)
        self._amqp = self._connect_to_any(urls)
        # Asked for again after a loss, py-amqp would connect anew.
        self._socket: socket.socket = self._amqp.sock
        self._socket.settimeout(IO_SECONDS)
        self._buffers = Buffers(self._amqp.transport)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._next_tick = 0.0
        self.channel = self._open_channel()

    def fileno(self) -> int:
        """Return the socket."""
        return self._socket.fileno()

    def read(self) -> None:
        """Let py-amqp call back for what has arrived, and send what was written meanwhile.

        Raises what py-amqp and sockets raise.
        """
        until = time.monotonic() + READ_SECONDS
        self._take_frames()
        while self._buffered() or (time.monotonic() < until and self._poll.poll(0)):
            self._buffers.receive()
            # py-amqp, which does not see every frame, counts this as a sign of life.
            self._amqp.bytes_recv += 1
            self._take_frames()
        if time.monotonic() >= self._next_tick:
            self._amqp.heartbeat_tick()
            self._next_tick = time.monotonic() + 1.0
        self.flush()

    def deliver_to(self, delivered: Delivered) -> None:
        """Call `delivered` for each message of the channel's consumers."""
        self._amqp.on_inbound_frame = Deliveries(delivered, self._amqp.on_inbound_frame)

    def publish(self, message: Outgoing, number: int) -> None:
        """Write `message`; `number` is its correlation id. Raises OSError, and as `frames` does."""
        self._buffers.write(publish(message, number, self.channel.channel_id, self._amqp.frame_max))

    def ack(self, what: Ack) -> None:
        """Write `what`. Raises OSError."""
        self._buffers.write(ack(what, self.channel.channel_id))

    def flush(self) -> None:
        """Send what was written. Raises OSError."""
        self._buffers.flush()

    def talking(self) -> "_Talking":
        """Turn what goes wrong into Unavailable; the connection counts as lost then."""
        return self._talking

    @contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Let the broker take so long for an answer, in the block."""
        self._socket.settimeout(seconds)
        yield
        self._socket.settimeout(IO_SECONDS)

    def close(self, patience: float = CLOSE_SECONDS) -> None:
        """Close; return when the broker has heard all that was written, or after `patience`."""
        try:
            if not self.lost:
                self._say_goodbye(patience)
        except (OSError, AMQPError):
            pass  # It was lost before it could be closed: the broker knows already.
        finally:
            self._amqp.collect()

    def _say_goodbye(self, patience: float) -> None:
        # Not by py-amqp: it would go on calling back for each message that is on its way.
        self._socket.settimeout(patience)
        self._amqp.send_method(method.Close, "BsBB", (200, "", 0, 0))
        self.flush()
        until, tail, received = time.monotonic() + patience, b"", b"-"
        while received and not tail.endswith(CLOSE_OK) and time.monotonic() < until:
            received = self._socket.recv(1 << 20)
            tail = (tail + received)[-len(CLOSE_OK) :]

    def _take_frames(self) -> None:
        for frame in self._buffers.frames():
            self._amqp.on_inbound_frame(frame)

    def _buffered(self) -> bool:
        # What TLS has decrypted already does not show at the socket.
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _connect_to_any(self, urls: Sequence[str]) -> amqp.Connection:
        *others, last = urls
        for url in others:
            try:
                return self._connect(url)
            except Unavailable as error:
                logger.info("Trying the next broker: %s", error)
        return self._connect(last)

    def _connect(self, url: str) -> amqp.Connection:
        connection = Connection(
            url,
            connect_timeout=CONNECT_SECONDS,
            heartbeat=HEARTBEAT_SECONDS,
            transport_options={
                "on_blocked": self._on_blocked,
                "on_unblocked": self._on_unblocked,
                # py-amqp's own default is a second: back-pressure would cut the connection.
                "socket_settings": {socket.TCP_USER_TIMEOUT: 60_000},
                "client_properties": {"product": "durian"},
            },
        )
        if url.startswith("amqps:"):
            # Else py-amqp takes the certificate of any host; None stands for the one connected to.
            connection.ssl = {"server_hostname": None}
        try:
            return connection.transport.establish_connection()
        except (AMQPError, OSError, ValueError) as error:
            # A ValueError is of Python's own, for a host that no name server need be asked for.
            address = connection.as_uri()
            raise Unavailable(
                f"The broker at {address} is away: {type(error).__name__}: {error}"
            ) from error

    def _open_channel(self) -> amqp.Channel:
        try:
            with as_unavailable():
                return self._amqp.channel()
        except Unavailable:
            self._amqp.collect()
            raise

    def _on_blocked(self, reason: str) -> None:
        self.blocked = True

    def _on_unblocked(self) -> None:
        self.blocked = False


class _Talking:
    """Around each message: a class, since a generator would take as long as the rest of an ack."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        self._link = link

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Unavailable | AMQPError | OSError):
            self._link.lost = True
            _raise_unavailable(error)


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Turn what py-amqp and sockets raise into Unavailable, TopologyError for what is missing."""
    try:
        yield
    except (AMQPError, OSError) as error:
        _raise_unavailable(error)


def _raise_unavailable(error: Exception) -> None:
    if isinstance(error, NotFound):
        raise TopologyError(f"{error.reply_text}. {DECLARE}") from error
    if not isinstance(error, Unavailable):
        why = f"{type(error).__name__}: {error}"
        raise Unavailable(f"The broker, or the connection to it, failed: {why}") from error

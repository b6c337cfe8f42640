"""What travels over the broker: events on their way to the matcher, deliveries on theirs to POSTs.

A message is a JSON object with a version "major.minor". A reader takes what it knows of a newer
minor version; a newer major is for a newer process.
"""

from typing import Annotated, TypeVar, cast

import msgspec

from durian.errors import MessageError, UnknownVersion
from durian.ids import LARGEST_ROW

VERSION = "1.0"
MAJOR = 1

# Whoever may publish on the broker may have put anything into a message. What is read here fits
# into a header and into the database: what the database refused would pass for its being away.
UUIDText = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]
HookName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_.-]{1,200}\Z")]
Run = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9-]{0,36}\Z")]
RowNumber = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_ROW)]
Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=1e11)]


class EventMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An event that happened; `body` is the exact text that every receiver gets.

    `listeners` is the version of the set of listeners when the event was published: a matcher
    that has seen less catches up first. `created` is in seconds since the epoch.
    """

    id: UUIDText
    hook: HookName
    body: str
    envelope: str
    created: Seconds
    listeners: RowNumber
    version: str = VERSION


AttemptKey = tuple[str, str, int]
"""What names one attempt: its delivery, its run, its number."""


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempt a delivery's message asks for, and to whom: what is read ahead of the rest.

    `attempt` counts the POSTs including the next one, from 1. `run` names a chain of attempts:
    empty for the first, new for each replay. `not_before`, the end of a `delay` (in seconds), is in
    seconds since the epoch, 0 for none.
    """

    id: UUIDText
    listener: RowNumber
    attempt: Count = 1
    run: Run = ""
    not_before: Seconds = 0.0
    delay: Seconds = 0.0

    @property
    def key(self) -> AttemptKey:
        """The attempt's name."""
        return self.id, self.run, self.attempt


class DeliveryMessage(Label, frozen=True, kw_only=True):
    """One event for one listener.

    `first_attempt` is in seconds since the epoch, 0 for none. `reserved` says that the delay was
    the waiting for the listener's next free moment; `held_since` is when it first waited for a
    receiver that is away.
    """

    event: UUIDText
    hook: HookName
    body: str
    created: Seconds
    reserved: bool = False
    first_attempt: Seconds = 0.0
    held_since: Seconds = 0.0
    version: str = VERSION


class _Seen(msgspec.Struct):
    listeners: RowNumber


class _Versioned(msgspec.Struct):
    version: str


Message = TypeVar("Message", EventMessage, DeliveryMessage)

_encoder = msgspec.json.Encoder()
_version_decoder = msgspec.json.Decoder(_Versioned)
_label_decoder = msgspec.json.Decoder(Label)
_seen_decoder = msgspec.json.Decoder(_Seen)
_decoders = {kind: msgspec.json.Decoder(kind) for kind in (EventMessage, DeliveryMessage)}


def encode(message: EventMessage | DeliveryMessage) -> bytes:
    """Return `message` as JSON. Raises MessageError if it holds text that UTF-8 cannot."""
    try:
        return _encoder.encode(message)
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise MessageError(f"cannot be encoded as JSON: {error}") from error


def decode(kind: type[Message], body: bytes) -> Message:
    """Return the message of `kind` in `body`.

    Raises MessageError for what is not JSON or lacks a field, UnknownVersion for a newer major.
    """
    try:
        major = int(_version_decoder.decode(body).version.split(".")[0])
        if major != MAJOR:
            raise UnknownVersion(
                f"is of version {major}; this process reads version {MAJOR}. "
                "Upgrade it, then replay the message."
            )
        return cast(Message, _decoders[kind].decode(body))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MessageError(f"is no {kind.__name__} in JSON: {error}") from error


def label(body: bytes) -> Label | None:
    """Return the label of the delivery in `body`, None for what will not be decoded."""
    try:
        return _label_decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def listeners_seen(body: bytes) -> int:
    """Return the `listeners` of the event in `body`, 0 for what will not be decoded."""
    try:
        return _seen_decoder.decode(body).listeners
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return 0

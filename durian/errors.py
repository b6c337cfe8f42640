"""Every error that durian raises: one root, and below it what a caller may want to tell apart."""


class DurianError(Exception):
    """The root of all errors of durian."""


class ConfigurationError(DurianError):
    """A setting is missing or wrong; the message names it and the remedy."""


class KeyMissing(ConfigurationError):
    """This process lacks the key to a listener's secrets."""


class AlreadyRegistered(DurianError):
    """A hook of that name is in the registry already."""


class NotRegistered(DurianError, KeyError):
    """No hook of that name is in the registry."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class PayloadError(DurianError, ValueError):
    """A payload cannot be sent: not encodable as JSON, or over the size limit."""


class InvalidFilter(DurianError, ValueError):
    """A filter is not valid; the message says where and why."""


class InvalidSignature(DurianError, ValueError):
    """A received webhook is not signed by whom it should be, or is too old."""


class InvalidSecret(DurianError, ValueError):
    """A signing secret is not of the form of Standard Webhooks; the message never holds it."""


class Unavailable(DurianError):
    """Something that durian needs is away for now (broker, database); trying again may succeed."""


class DatabaseAway(Unavailable):
    """The one that is away is a database."""


class TopologyError(Unavailable):
    """Queues or exchanges are missing on the broker, or declared with other arguments."""


class MessageRefused(Unavailable):
    """The broker refuses a message for what it is, such as its size."""


class MessageError(DurianError):
    """A message cannot be handled, now or later: it belongs to the dead letters.

    `reason` is the word that the dead letter's header carries.
    """

    reason = "malformed"


class UnknownVersion(MessageError):
    """A message of a newer major version than this process knows: a newer process may read it."""

    reason = "unknown-version"


class DeliveryError(DurianError):
    """A POST did not bring an answer.

    `permanent` says that no later attempt can succeed; such a delivery is dead at once.
    """

    permanent = False


class AddressRefused(DeliveryError):
    """The guard refuses an address that the connection would use."""

    permanent = True


class InvalidURL(DeliveryError, ValueError):
    """A URL that can never be called: scheme, host or port are not allowed or make no sense."""

    permanent = True


class DeadlineExceeded(DeliveryError):
    """Connecting, sending and receiving took longer than the listener's timeout."""


class ConnectionFailed(DeliveryError):
    """No connection could be made, or it broke before the answer was complete."""


class TLSFailed(ConnectionFailed):
    """The receiver's certificate could not be verified, or TLS could not be agreed on."""


class InvalidAnswer(DeliveryError):
    """The receiver answered something that is not HTTP."""

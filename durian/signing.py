"""Standard Webhooks 1.0.0, both ways: sign what is sent, verify what is received.

Signatures are HMAC-SHA256 (`v1`) with a shared secret `whsec_…`, or Ed25519 (`v1a`) with a private
key `whsk_…` whose public half `whpk_…` the receiver has. No message of an error holds a secret.
"""

import hmac
import re
import secrets as random
import time
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping, Sequence

from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from durian.errors import InvalidSecret, InvalidSignature

# A rotation needs two or three; each one more is work that a stranger could ask for.
MAX_SIGNATURES = 20

SECRET, PRIVATE_KEY, PUBLIC_KEY = "whsec_", "whsk_", "whpk_"


class Secret(str):
    """A secret that no debugger and no page of an error shows: they show what `repr` says."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def generate_secret() -> str:
    """Return a new shared secret, `whsec_` and 32 random bytes in base64."""
    return Secret(SECRET + _encode(random.token_bytes(32)))


def generate_key_pair() -> tuple[str, str]:
    """Return a new Ed25519 pair: the sender's `whsk_…` and the receiver's `whpk_…`.

    The private key is the seed and the public key in one, as libsodium writes it.
    """
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return (
        PRIVATE_KEY + _encode(private.private_bytes_raw() + public),
        PUBLIC_KEY + _encode(public),
    )


def validate_secret(secret: str) -> None:
    """Raise InvalidSecret unless one can sign with `secret`.

    That is `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and that of an Ed25519 private
    key (32 bytes, or 64 with the public key).
    """
    _signing_key(secret)


class Signer:
    """Signs for one listener: its secrets are decoded once, its requests signed often.

    `secrets` are those of `validate_secret`, several during a rotation; InvalidSecret is raised
    when there is none or one is wrong.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        if isinstance(secrets, str) or not secrets:
            raise InvalidSecret("A signer needs a list of at least one secret.")
        self._keys = [_signing_key(secret) for secret in secrets]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self._keys)} secrets>"

    def headers(self, webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
        """Return the three headers of one attempt to send `body`, which is UTF-8.

        `timestamp` is when this attempt is made, in Unix seconds; `webhook_id` is the same for
        all attempts.
        """
        text = body.decode()
        signatures = [key.sign(webhook_id, timestamp, text) for key in self._keys]
        return {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(signatures),
        }


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    tolerance: int = 300,
    now: float | None = None,
) -> None:
    """Raise InvalidSignature unless `body` was signed with one of `secrets`, and lately.

    `secrets` are shared secrets `whsec_…` and public keys `whpk_…` (else InvalidSecret). The
    names of the headers may be in any case; `tolerance` is in seconds, either way from `now`
    (Unix time; the clock's when left out).
    """
    if isinstance(secrets, str) or not secrets:
        raise InvalidSecret("Verifying needs a list of at least one secret.")
    keys = [_verifying_key(secret) for secret in secrets]
    webhook_id, timestamp, signatures = _read(headers)
    if abs((time.time() if now is None else now) - timestamp) > tolerance:
        raise InvalidSignature("webhook-timestamp is too far from this machine's clock.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidSignature("The body is not UTF-8.") from error
    if not any(key.fits_one_of(signatures, webhook_id, timestamp, text) for key in keys):
        raise InvalidSignature("No signature in webhook-signature fits the body and the secrets.")


def _read(headers: Mapping[str, str]) -> tuple[str, int, list[str]]:
    """Return the id, the timestamp and the signatures that `headers` carry."""
    lower = {name.lower(): value for name, value in headers.items()}
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if not lower.get(name):
            raise InvalidSignature(f"The header {name} is missing.")
        if not lower[name].isascii():
            raise InvalidSignature(f"The header {name} is not ASCII.")
    # Eleven digits reach past the year 5000; more would not be a date.
    if not re.fullmatch(r"[0-9]{1,11}", lower["webhook-timestamp"]):
        raise InvalidSignature("webhook-timestamp is not a number of seconds.")
    signatures = lower["webhook-signature"].split()
    if len(signatures) > MAX_SIGNATURES:
        raise InvalidSignature(f"webhook-signature has more than {MAX_SIGNATURES} signatures.")
    return lower["webhook-id"], int(lower["webhook-timestamp"]), signatures


class _SharedSecret:
    """A `whsec_…`, which signs and verifies."""

    def __init__(self, secret: str) -> None:
        # Half of the work is the key's. hmac.digest would let go of the interpreter's lock, too.
        self._keyed = hmac.new(_decode(secret, SECRET, range(24, 65)), digestmod="sha256")

    def sign(self, webhook_id: str, timestamp: int, text: str) -> str:
        signed = self._keyed.copy()
        signed.update(_signed_content(webhook_id, timestamp, text))
        return "v1," + _encode(signed.digest())

    def fits_one_of(
        self, signatures: list[str], webhook_id: str, timestamp: int, text: str
    ) -> bool:
        expected = self.sign(webhook_id, timestamp, text).encode()
        return any(hmac.compare_digest(expected, each.encode()) for each in signatures)


class _PrivateKey:
    """A `whsk_…`, which signs."""

    def __init__(self, secret: str) -> None:
        key = _decode(secret, PRIVATE_KEY, (32, 64))
        self._key = Ed25519PrivateKey.from_private_bytes(key[:32])
        if key[32:] and key[32:] != self._key.public_key().public_bytes_raw():
            raise InvalidSecret(f"The two halves of a {PRIVATE_KEY} key do not belong together.")

    def sign(self, webhook_id: str, timestamp: int, text: str) -> str:
        return "v1a," + _encode(self._key.sign(_signed_content(webhook_id, timestamp, text)))


class _PublicKey:
    """A `whpk_…`, which verifies."""

    def __init__(self, secret: str) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(_decode(secret, PUBLIC_KEY, (32,)))

    def fits_one_of(
        self, signatures: list[str], webhook_id: str, timestamp: int, text: str
    ) -> bool:
        content = _signed_content(webhook_id, timestamp, text)
        encoded = [each.removeprefix("v1a,") for each in signatures if each.startswith("v1a,")]
        return any(self._fits(each, content) for each in encoded)

    def _fits(self, encoded: str, content: bytes) -> bool:
        try:
            self._key.verify(b64decode(encoded), content)
        except (WrongSignature, ValueError):  # ValueError: not base64
            return False
        return True


def _signing_key(secret: str) -> _SharedSecret | _PrivateKey:
    return _PrivateKey(secret) if secret.startswith(PRIVATE_KEY) else _SharedSecret(secret)


def _verifying_key(secret: str) -> _SharedSecret | _PublicKey:
    return _PublicKey(secret) if secret.startswith(PUBLIC_KEY) else _SharedSecret(secret)


def _signed_content(webhook_id: str, timestamp: int, text: str) -> bytes:
    return f"{webhook_id}.{timestamp}.{text}".encode()


def _encode(data: bytes) -> str:
    return b64encode(data).decode()


def _decode(secret: str, prefix: str, sizes: Collection[int]) -> bytes:
    """Return the bytes of `secret`; raises InvalidSecret, saying what they should have been."""
    form = f"{prefix} and the base64 of {min(sizes)} to {max(sizes)} bytes"
    if not secret.startswith(prefix):
        raise InvalidSecret(f"A secret has to be {form}; this one begins otherwise.")
    encoded = secret.removeprefix(prefix)
    padding = "=" * (-len(encoded) % 4)  # some senders leave it out
    try:
        data = b64decode(encoded + padding, validate=True)
    except ValueError as error:
        raise InvalidSecret(f"A secret has to be {form}; this one is not base64.") from error
    if len(data) not in sizes:
        raise InvalidSecret(f"A secret has to be {form}; this one has {len(data)}.")
    return data

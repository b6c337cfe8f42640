"""Encryption at rest: what a listener's secrets look like in the database."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from durian.errors import ConfigurationError

SETTING = 'DURIAN["ENCRYPTION_KEYS"]'


class Vault:
    """Encrypts with the first of `keys` and decrypts with any of them.

    A key is a string of any form with enough chance in it (`secrets.token_urlsafe(32)`); an
    empty list or an empty key raises ConfigurationError. To replace a key, put the new one in
    front, `rotate` what is stored, then take the old one away.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        # A string is a sequence of strings too: each of its letters would be taken for a key.
        if isinstance(keys, str) or not keys or not all(keys):
            raise ConfigurationError(f"{SETTING} must be a list of keys, none of them empty.")
        if any(_is_no_text(key) for key in keys):
            raise ConfigurationError(f"{SETTING}: a key holds half a surrogate pair; make another.")
        fernets = [Fernet(_derive(key)) for key in keys]
        self._first, self._fernet = fernets[0], MultiFernet(fernets)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def encrypt(self, text: str) -> str:
        """Return `text` encrypted, as ASCII letters, digits and `-_=`."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        """Return the text of what `encrypt` gave.

        Raises ConfigurationError when none of the keys fits, or the token was altered.
        """
        try:
            return self._fernet.decrypt(token).decode()
        except InvalidToken as error:
            raise _no_key_fits() from error

    def is_current(self, token: str) -> bool:
        """Say whether `token` was encrypted with the first key: such a one needs no `rotate`."""
        try:
            self._first.decrypt(token)
        except InvalidToken:
            return False
        return True

    def rotate(self, token: str) -> str:
        """Return the same text encrypted anew with the first key; raises as `decrypt` does."""
        try:
            return self._fernet.rotate(token).decode()
        except InvalidToken as error:
            raise _no_key_fits() from error


def _no_key_fits() -> ConfigurationError:
    return ConfigurationError(
        f"No key in {SETTING} decrypts what the database holds. Put the key that it was"
        " encrypted with back into that list; the first one is used for new secrets."
    )


def _is_no_text(key: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in key)


def _derive(key: str) -> bytes:
    """Return a Fernet key made of `key` (RFC 5869): the form that Fernet wants, of any string."""
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"durian.vault.1")
    return urlsafe_b64encode(derivation.derive(key.encode()))

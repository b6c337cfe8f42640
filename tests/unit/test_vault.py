"""Secrets at rest: only who has a key reads them, and keys can be replaced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durian.errors import ConfigurationError
from durian.vault import Vault


@given(st.text())
def test_what_was_encrypted_can_be_decrypted(text: str) -> None:
    vault = Vault(["any string will do"])
    assert vault.decrypt(vault.encrypt(text)) == text


def test_the_same_keys_read_it_in_another_process() -> None:
    assert Vault(["key"]).decrypt(Vault(["key"]).encrypt("secret")) == "secret"


def test_a_token_hides_its_text_and_whether_two_are_equal() -> None:
    vault = Vault(["key"])
    tokens = {vault.encrypt("secret"), vault.encrypt("secret")}
    assert len(tokens) == 2
    assert not any("secret" in token for token in tokens)


def test_keys_are_replaced_without_losing_what_is_stored() -> None:
    stored = Vault(["old"]).encrypt("secret")
    during = Vault(["new", "old"])
    assert during.decrypt(stored) == "secret"
    rotated = during.rotate(stored)
    assert Vault(["new"]).decrypt(rotated) == "secret"
    with pytest.raises(ConfigurationError):
        Vault(["old"]).decrypt(rotated)


def test_what_the_first_key_encrypted_is_told_from_the_rest() -> None:
    vault = Vault(["new", "old"])
    stored = Vault(["old"]).encrypt("secret")
    assert not vault.is_current(stored)
    assert vault.is_current(vault.rotate(stored))
    assert not vault.is_current("no token")


@pytest.mark.parametrize("method", ["decrypt", "rotate"])
@pytest.mark.parametrize("altered", [False, True])
def test_a_wrong_key_is_an_error_that_names_the_setting_and_no_secret(
    method: str, altered: bool
) -> None:
    stored = Vault(["first-key"]).encrypt("the text")
    vault = Vault(["first-key" if altered else "second-key"])
    token = stored[:-4] + "AAA=" if altered else stored
    with pytest.raises(ConfigurationError, match=r'DURIAN\["ENCRYPTION_KEYS"\]') as caught:
        getattr(vault, method)(token)
    assert not any(word in str(caught.value) for word in ("second-key", "the text", stored))


@pytest.mark.parametrize("keys", [[], [""], ["key", ""], "a string"])
def test_keys_that_protect_nothing_are_refused(keys: list[str] | str) -> None:
    with pytest.raises(ConfigurationError, match="ENCRYPTION_KEYS"):
        Vault(keys)


def test_repr_hides_the_keys() -> None:
    assert "key" not in repr(Vault(["key"]))

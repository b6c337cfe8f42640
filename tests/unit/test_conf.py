from typing import Any

import pytest
from pytest_django.fixtures import Settings

from durian import conf
from durian.conf import Config, read
from durian.errors import ConfigurationError


def test_without_settings_all_has_its_default() -> None:
    assert read({}) == Config()
    assert read({}).outbox_databases == ("default",)


def test_a_setting_is_the_field_of_its_name() -> None:
    values = {"BROKER_URL": "amqp://x", "MAX_PAYLOAD": 5, "OUTBOX_DATABASES": ["a", "b"]}
    config = read(values | {"PUBLIC_EXCHANGE": True, "ALLOW_PORTS": (443,), "RELAY": "process"})
    assert (config.broker_url, config.max_payload) == ("amqp://x", 5)
    assert (config.outbox_databases, config.allow_ports) == (("a", "b"), (443,))
    assert config.public_exchange
    assert config.relay == "process"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"BROKER": "x"}, r"DURIAN\['BROKER'\] is no setting of durian; .* BROKER_URL"),
        ({"broker_url": "x"}, "is no setting"),
        ({"BROKER_URL": None}, r"DURIAN\['BROKER_URL'\] must be of type str, not NoneType"),
        ({"MAX_PAYLOAD": "5"}, "must be of type int, not str"),
        ({"MAX_PAYLOAD": True}, "must be of type int, not bool"),
        ({"MAX_PAYLOAD": 0}, "must be at least 1"),
        ({"PUBLIC_EXCHANGE": 1}, "must be of type bool, not int"),
        ({"OUTBOX_DATABASES": "default"}, "must be a list of str"),
        ({"ALLOW_PORTS": ["443"]}, "must be a list of int"),
        ({"ALLOW_HOSTS": [1]}, "must be a list of str"),
        ({"RELAY": "sometimes"}, "is 'sometimes'; it must be one of thread, process, off"),
        (["BROKER_URL"], "must be a dictionary"),
        (None, "must be a dictionary"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(values: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        read(values)


def test_a_value_of_the_wrong_type_is_not_in_the_message() -> None:
    with pytest.raises(ConfigurationError) as raised:
        read({"ENCRYPTION_KEYS": "hunter2"})
    assert "hunter2" not in str(raised.value)


def test_settings_changed_in_a_test_take_effect(settings: Settings) -> None:
    settings.DURIAN = {"MAX_PAYLOAD": 7}
    assert conf.config().max_payload == 7
    settings.DURIAN = {"MAX_PAYLOAD": 8}
    assert conf.config().max_payload == 8


def test_without_keys_of_its_own_the_vault_takes_the_secret_key(settings: Settings) -> None:
    settings.DURIAN = {}
    settings.SECRET_KEY = "old key"
    kept = conf.vault().encrypt("text")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new key", ["old key"]
    assert conf.vault().decrypt(kept) == "text"
    settings.DURIAN = {"ENCRYPTION_KEYS": ["another"]}
    with pytest.raises(ConfigurationError, match="No key"):
        conf.vault().decrypt(kept)

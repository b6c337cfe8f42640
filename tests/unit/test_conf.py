from collections.abc import Hashable
from contextlib import suppress
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from durian import conf
from durian.conf import Config, read
from durian.errors import ConfigurationError
from durian.guard import Guard
from durian.vault import Vault
from durian.wire.connect import broker
from durian.wire.topology import Topology


def hashable(value: Any) -> bool:
    return isinstance(value, Hashable)


def test_without_settings_all_has_its_default() -> None:
    assert read({}) == Config()
    assert read({}).outbox_databases == ("default",)


def test_a_setting_is_the_field_of_its_name() -> None:
    values = {"BROKER_URL": "amqp://x", "MAX_PAYLOAD": 5, "OUTBOX_DATABASES": ["a", "b"]}
    config = read(values | {"PUBLIC_EXCHANGE": True, "ALLOW_PORTS": (443,), "RELAY": "process"})
    assert (config.broker_url, config.max_payload) == ("amqp://x", 5)
    assert (config.outbox_databases, config.allow_ports) == (("a", "b"), (443,))
    assert config.public_exchange
    assert read({"DISABLE_AFTER_DAYS": 0, "ATTEMPT_DAYS": 1}).disable_after_days == 0
    assert read({"DISABLE_AFTER_DAYS": 9, "ATTEMPT_DAYS": 10}).disable_after_days == 9
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
        ({"DISABLE_AFTER_DAYS": -1}, "must be at least 0"),
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


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"EVENT_DAYS": 10**9}, r"DURIAN\['EVENT_DAYS'\] must be at least 1 and at most 36600"),
        ({"SECRET_OVERLAP_HOURS": 10**12}, "at most 8784"),
        ({"SHUTDOWN_SECONDS": 10**10}, "at most 86400"),
        ({"MAX_PAYLOAD": 2**40}, "at most 536870912"),
        ({"MAX_IN_FLIGHT": 10**5000}, "at most 65535"),
        ({"OUTBOX_DATABASES": ["a", "b", "a"]}, r"\['OUTBOX_DATABASES'\] names a database twice"),
        ({"ATTEMPT_DAYS": 5}, r"must be more than DURIAN\['DISABLE_AFTER_DAYS'\], which is 5"),
        ({"DISABLE_AFTER_DAYS": 30}, r"DURIAN\['ATTEMPT_DAYS'\] is 30 and must be more"),
        ({"ALLOW_PORTS": [0]}, "numbers from 1 to 65535"),
        ({"ALLOW_PORTS": [10**9]}, "numbers from 1 to 65535"),
        ({"NAME_PREFIX": "x" * 101}, "at most 100 characters"),
        ({"NAME_PREFIX": "a b"}, "without blanks"),
        ({"NAME_PREFIX": "é"}, "ASCII"),
        ({"PROXY": "proxy:3128"}, "is not the URL of a proxy, such as http://"),
        ({"PROXY": "ftp://proxy:3128"}, "its scheme must be one of http"),
        ({"PROXY": "socks5://proxy:1080"}, "its scheme must be one of http"),
        ({"PROXY": "http://proxy:port"}, "is not the URL of a proxy"),
        ({"PROXY": "http://a\nb:3128"}, "is not the URL of a proxy"),
        ({"PROXY": "http://proxy:70000"}, "is not the URL of a proxy"),
        ({"PROXY": "http://proxy:0"}, "is not the URL of a proxy"),
        ({"PROXY": "http://me:pass@word@proxy:3128"}, "such as @ as %40"),
        ({"PROXY": "http://me:pass/word@proxy:3128"}, "is not the URL of a proxy"),
        ({"PROXY": "http://{proxy}:3128"}, "is not the URL of a proxy"),
        ({"PROXY": "http://proxy:3128/path"}, "is not the URL of a proxy"),
        ({10**5000: 1}, r"DURIAN\[a int\] is no setting"),
    ],
    ids=lambda value: ascii(value)[:60] if isinstance(value, str) else None,
)
def test_a_value_without_sense_is_named_before_it_does_harm(values: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        read(values)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://proxy.internal:3128",
        "https://my_proxy/",
        "socks5h://me:p%40ss-w0rd.~!$&'()*+,;=@10.0.0.1:1080",
        "socks4a://[fd00::1]:1080",
    ],
)
def test_the_urls_of_proxies_are_taken(proxy: str) -> None:
    assert read({"PROXY": proxy}).proxy == proxy


def test_the_password_of_a_proxy_is_in_no_message() -> None:
    for proxy in (
        "http://me:hunter2@",
        "http://me:hunter2/3@proxy",
        "me:hunter2@proxy",
        "http://a:hunter2@b@c",
    ):
        with pytest.raises(ConfigurationError) as raised:
            read({"PROXY": proxy})
        assert "hunter2" not in str(raised.value)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=())),
    st.lists(st.text() | st.integers(), max_size=3),
    st.sampled_from(["amqp://u:p@h//", "http://proxy:1", "off", 10**4000, object()]),
)
KEYS = [one.name.upper() for one in fields(Config)]


@given(st.dictionaries(st.sampled_from([*KEYS, "OTHER"]) | VALUES.filter(hashable), VALUES))
def test_any_settings_are_refused_or_hold(values: dict[Any, Any]) -> None:
    try:
        config = read(values)
    except ConfigurationError:
        return
    now = datetime.now(timezone.utc)
    assert now - timedelta(days=config.event_days) < now
    assert now - timedelta(days=config.attempt_days) < now
    assert now + timedelta(hours=config.secret_overlap_hours) > now
    for name in (one.name for one in Topology(config.name_prefix).queues()):
        assert len(name.encode()) <= 255
    with suppress(ConfigurationError):
        Guard(config.allow_networks, config.allow_hosts, config.allow_ports)
    with suppress(ConfigurationError):
        Vault(config.encryption_keys)
    with suppress(ConfigurationError):
        broker(config.broker_url, config.name_prefix)


@given(st.text(st.characters(exclude_categories=())) | st.from_regex("amqps?://.*"))
def test_any_url_of_a_broker_is_taken_or_refused(url: str) -> None:
    with suppress(ConfigurationError):
        broker(url, "")


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
    settings.SECRET_KEY = b"old key"
    kept = conf.vault().encrypt("text")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new key", ["old key"]
    assert conf.vault().decrypt(kept) == "text"
    settings.DURIAN = {"ENCRYPTION_KEYS": ["another"]}
    with pytest.raises(ConfigurationError, match="No key"):
        conf.vault().decrypt(kept)

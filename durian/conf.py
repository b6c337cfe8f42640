"""settings.DURIAN with its defaults, read when first asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.encoding import force_str

from durian.errors import ConfigurationError
from durian.guard import Guard
from durian.vault import Vault

RELAY_MODES = ("thread", "process", "off")
MOST = {"MAX_IN_FLIGHT": 65_535}
"""AMQP counts a consumer's prefetch in 16 bits."""


@dataclass(frozen=True)
class Config:
    """The settings of durian; each field is a key of settings.DURIAN, in capitals.

    Sizes are in bytes, times in seconds unless the name says otherwise.
    """

    broker_url: str = field(default="memory://", repr=False)
    name_prefix: str = ""
    relay: str = "thread"
    outbox_databases: tuple[str, ...] = ("default",)
    max_payload: int = 256 * 1024
    event_days: int = 30
    attempt_days: int = 30
    public_exchange: bool = False
    max_in_flight: int = 1000
    listener_in_flight: int = 50
    shutdown_seconds: int = 30
    encryption_keys: tuple[str, ...] = field(default=(), repr=False)
    secret_overlap_hours: int = 24
    allow_networks: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    allow_ports: tuple[int, ...] = ()
    proxy: str = field(default="", repr=False)
    ca_bundle: str = ""
    listeners_per_user: int = 100


def read(values: Mapping[str, Any]) -> Config:
    """Return the Config that `values` (the dict of settings.DURIAN) says.

    Raises ConfigurationError for a key that is unknown or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ConfigurationError("settings.DURIAN must be a dictionary.")
    known = {one.name.upper() for one in fields(Config)}
    for key in values:
        if key not in known:
            raise ConfigurationError(
                f"DURIAN[{key!r}] is no setting of durian; there are: {', '.join(sorted(known))}."
            )
    config = Config(**{key.lower(): _checked(key, value) for key, value in values.items()})
    if config.relay not in RELAY_MODES:
        raise ConfigurationError(
            f"DURIAN['RELAY'] is {config.relay!r}; it must be one of {', '.join(RELAY_MODES)}."
        )
    return config


def _checked(key: str, value: Any) -> Any:
    default = getattr(Config, key.lower())
    if isinstance(default, tuple):
        item = int if key == "ALLOW_PORTS" else str
        if isinstance(value, (list, tuple)) and all(type(one) is item for one in value):
            return tuple(value)
        raise ConfigurationError(f"DURIAN[{key!r}] must be a list of {item.__name__}.")
    if type(value) is not type(default):
        raise ConfigurationError(
            f"DURIAN[{key!r}] must be of type {type(default).__name__}, not {type(value).__name__}."
        )
    if type(value) is int and not 1 <= value <= MOST.get(key, value):
        most = f" and at most {MOST[key]}" if key in MOST else ""
        raise ConfigurationError(f"DURIAN[{key!r}] must be at least 1{most}.")
    return value


@cache
def config() -> Config:
    """Return the site's settings. Raises ConfigurationError if one of them is wrong."""
    return read(getattr(settings, "DURIAN", {}))


@cache
def vault() -> Vault:
    """Return what encrypts the listeners' secrets.

    Without ENCRYPTION_KEYS the keys derive from SECRET_KEY and SECRET_KEY_FALLBACKS.
    """
    keys = config().encryption_keys
    fallbacks = map(force_str, settings.SECRET_KEY_FALLBACKS)
    return Vault(keys or [settings.SECRET_KEY, *fallbacks])


@cache
def guard() -> Guard:
    """Return the guard that says which addresses may be called."""
    return Guard(config().allow_networks, config().allow_hosts, config().allow_ports)


def _forget(*, setting: str, **_: object) -> None:
    if setting in ("DURIAN", "SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        for cached in (config, vault, guard):
            cached.cache_clear()


setting_changed.connect(_forget)

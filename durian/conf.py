"""settings.DURIAN with its defaults, read when first asked for."""

import re
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
YEAR_HOURS = 366 * 24
MOST = {
    # AMQP counts a consumer's prefetch in 16 bits.
    "MAX_IN_FLIGHT": 65_535,
    # The largest message that a RabbitMQ can be set to take.
    "MAX_PAYLOAD": 512 * 1024 * 1024,
    # Beyond them, times would leave the calendar.
    "EVENT_DAYS": 36_600,
    "ATTEMPT_DAYS": 36_600,
    "DISABLE_AFTER_DAYS": 36_600,
    "SECRET_OVERLAP_HOURS": YEAR_HOURS,
    "SHUTDOWN_SECONDS": 24 * 3600,
}
LEAST = {"DISABLE_AFTER_DAYS": 0}
PORTS = range(1, 65_536)
# With socks4 and socks5 names would be resolved here, where nobody checks what they resolve to.
PROXY_SCHEMES = ("http", "https", "socks4a", "socks5h")
# RFC 3986, section 3.2, in strict: libcurl would repeat what it cannot read, with the password.
_PROXY = re.compile(
    rf"(?:{'|'.join(PROXY_SCHEMES)})://(?:[\w.~!$&'()*+,;=:%-]*@)?"
    r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{1,5}))?/?",
    re.ASCII,
)
# AMQP's names end at 255 bytes.
_PREFIX = re.compile(r"[!-~]{0,100}")


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
    max_in_flight: int = 4000
    listener_in_flight: int = 50
    disable_after_days: int = 5
    shutdown_seconds: int = 30
    encryption_keys: tuple[str, ...] = field(default=(), repr=False)
    secret_overlap_hours: int = 24
    allow_networks: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    allow_ports: tuple[int, ...] = ()
    proxy: str = field(default="", repr=False)
    ca_bundle: str = ""
    listeners_per_user: int = 100
    listeners_per_hour: int = 30


def read(values: Mapping[str, Any]) -> Config:
    """Return the Config that `values` (the dict of settings.DURIAN) says.

    Raises ConfigurationError for a key that is unknown, a value of the wrong type or of no sense.
    """
    if not isinstance(values, Mapping):
        raise ConfigurationError("settings.DURIAN must be a dictionary.")
    known = {one.name.upper() for one in fields(Config)}
    for key in values:
        if key not in known:
            name = repr(key) if isinstance(key, str) else f"a {type(key).__name__}"
            raise ConfigurationError(
                f"DURIAN[{name}] is no setting of durian; there are: {', '.join(sorted(known))}."
            )
    config = Config(**{key.lower(): _checked(key, value) for key, value in values.items()})
    _check_alone(config)
    _check_together(config)
    return config


def _check_alone(config: Config) -> None:
    if config.relay not in RELAY_MODES:
        raise ConfigurationError(
            f"DURIAN['RELAY'] is {config.relay!r}; it must be one of {', '.join(RELAY_MODES)}."
        )
    if not _PREFIX.fullmatch(config.name_prefix):
        raise ConfigurationError(
            "DURIAN['NAME_PREFIX'] must be of at most 100 characters of ASCII, without blanks."
        )
    if any(port not in PORTS for port in config.allow_ports):
        raise ConfigurationError("DURIAN['ALLOW_PORTS'] must be numbers from 1 to 65535.")
    if config.proxy and not _is_proxy(config.proxy):
        # It may hold a password.
        raise ConfigurationError(
            "DURIAN['PROXY'] is not the URL of a proxy, such as http://proxy.internal:3128; its "
            f"scheme must be one of {', '.join(PROXY_SCHEMES)}, and what is special in a URL must "
            "be escaped in its user and password, such as @ as %40."
        )
    if len(set(config.outbox_databases)) < len(config.outbox_databases):
        raise ConfigurationError("DURIAN['OUTBOX_DATABASES'] names a database twice.")


def _check_together(config: Config) -> None:
    if config.attempt_days <= config.disable_after_days:
        raise ConfigurationError(
            f"DURIAN['ATTEMPT_DAYS'] is {config.attempt_days} and must be more than "
            f"DURIAN['DISABLE_AFTER_DAYS'], which is {config.disable_after_days}: whether a "
            "listener took anything for so long is read from the log of POSTs. Raise the one or "
            "lower the other; 0 is for never."
        )


def _is_proxy(url: str) -> bool:
    found = _PROXY.fullmatch(url)
    return found is not None and int(found["port"] or 1) in PORTS


def _checked(key: str, value: Any) -> Any:
    default = getattr(Config, key.lower())
    if isinstance(default, tuple):
        item = int if key == "ALLOW_PORTS" else str
        if isinstance(value, (list, tuple)) and all(type(one) is item for one in value):
            return tuple(value)
        raise ConfigurationError(f"DURIAN[{key!r}] must be a list of {item.__name__}.")
    if isinstance(value, _Hidden):
        value = str(value)
    if type(value) is not type(default):
        raise ConfigurationError(
            f"DURIAN[{key!r}] must be of type {type(default).__name__}, not {type(value).__name__}."
        )
    least = LEAST.get(key, 1)
    if type(value) is int and not least <= value <= MOST.get(key, value):
        most = f" and at most {MOST[key]}" if key in MOST else ""
        raise ConfigurationError(f"DURIAN[{key!r}] must be at least {least}{most}.")
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
    # Django lets them be bytes.
    own = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return Vault(keys or [force_str(key) for key in own])


@cache
def guard() -> Guard:
    """Return the guard that says which addresses may be called."""
    return Guard(config().allow_networks, config().allow_hosts, config().allow_ports)


class _Hidden(str):
    """A text that error reports do not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"


def hide_passwords() -> None:
    """Keep the passwords in settings.DURIAN out of what Django shows and mails of an error.

    It shows all settings there, save those that are named like a key or a password.
    """
    values = getattr(settings, "DURIAN", None)
    if isinstance(values, dict):
        for key in ("BROKER_URL", "PROXY"):
            if isinstance(values.get(key), str):
                values[key] = _Hidden(values[key])


def _forget(*, setting: str, **_: object) -> None:
    if setting in ("DURIAN", "SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        for cached in (config, vault, guard):
            cached.cache_clear()


setting_changed.connect(_forget)

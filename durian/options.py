"""How a listener is called: what its configuration says, else its hook, else durian's defaults."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from durian.errors import ConfigurationError
from durian.policy import DEFAULT_POLICY, NO_RETRY, RetryPolicy

DEFAULT_TIMEOUT = 4.0
MAX_TIMEOUT = 30.0
MAX_RETRIES = 50
MAX_HEADERS = 20
LEAST_RATE, MAX_RATE = 0.001, 10_000.0
RESERVED_PREFIXES = ("webhook-", "durian-", "content-", "proxy-")
RESERVED_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
"""Headers that a listener cannot set, also those with the prefixes: they are durian's or HTTP's."""

KEYS = ("timeout", "retry", "max_retries", "rate", "headers")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e][\x20-\x7e]{0,999})?")
_MARK = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True)
class Options:
    """How a listener is called. `timeout` is in seconds for the whole exchange, `rate` in POSTs a
    second, 0 for as many as come."""

    timeout: float = DEFAULT_TIMEOUT
    policy: RetryPolicy = DEFAULT_POLICY
    rate: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


def from_config(config: Mapping[str, Any], default: Options) -> Options:
    """Return `default` with what `config`, a listener's configuration, says instead.

    `{"timeout": 10, "retry": {"schedule": [5, 60]}, "max_retries": 3, "rate": 5, "headers": {…}}`;
    each may be missing, and `"retry": false` asks for one attempt only. Raises ConfigurationError,
    naming the key at fault.
    """
    unknown = sorted(set(config) - set(KEYS))
    if unknown:
        raise ConfigurationError(f"{unknown[0]!r} is unknown; there are: {', '.join(KEYS)}.")
    return Options(
        timeout=_number(config, "timeout", default.timeout, 0.1, MAX_TIMEOUT),
        policy=_policy(config, default.policy),
        rate=_rate(config, default.rate),
        headers=_headers(config.get("headers", default.headers)),
    )


def _rate(config: Mapping[str, Any], default: float) -> float:
    rate = _number(config, "rate", default, 0.0, MAX_RATE)
    if 0.0 < rate < LEAST_RATE:
        raise ConfigurationError(f"'rate' must be 0, or at least {LEAST_RATE:g} a second.")
    return rate


def _policy(config: Mapping[str, Any], default: RetryPolicy) -> RetryPolicy:
    retry = config.get("retry", True)
    if retry is False:
        return NO_RETRY
    policy = default if retry is True else RetryPolicy.from_config(_object("retry", retry))
    if "max_retries" not in config:
        return policy
    return policy.limited(int(_number(config, "max_retries", 0, 0, MAX_RETRIES)))


def _headers(value: Any) -> Mapping[str, str]:
    headers = _object("headers", value)
    if len(headers) > MAX_HEADERS:
        raise ConfigurationError(f"headers: at most {MAX_HEADERS}.")
    for name, text in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not isinstance(text, str):
            raise ConfigurationError(f"headers: {name!r} is no name of a header with a text.")
        if _is_reserved(name):
            raise ConfigurationError(f"headers: {name!r} cannot be set; durian or HTTP does that.")
        if not _HEADER_VALUE.fullmatch(text):
            raise ConfigurationError(
                f"headers: the value of {name!r} must be of printable ASCII, at most 1,000, and "
                "begin with no blank."
            )
    if len({name.lower() for name in headers}) < len(headers):
        raise ConfigurationError("headers: a name may be there once, in whichever case.")
    return headers


def _is_reserved(name: str) -> bool:
    # Gateways (CGI, WSGI) give receivers one name for `webhook_id`, `webhook.id` and `webhook-id`.
    plain = _MARK.sub("-", name.lower())
    return plain in RESERVED_HEADERS or plain.startswith(RESERVED_PREFIXES)


def _object(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{key}: must be a JSON object.")
    return value


def _number(
    config: Mapping[str, Any], key: str, default: float, least: float, most: float
) -> float:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigurationError(f"{key}: must be a number from {least:g} to {most:g}.")
    return value

"""Names of hooks, and the patterns that listeners may give instead, as on a topic exchange."""

import re
from functools import lru_cache
from typing import Any

import re2

from durian.errors import ConfigurationError

MAX_BYTES = 200
"""AMQP's short strings end at 255 bytes; the rest is left for a prefix."""

_WORD = r"[A-Za-z0-9_\-]+"
_NAME = re.compile(rf"{_WORD}(\.{_WORD})*")
_PATTERN = re.compile(rf"({_WORD}|\*|#)(\.({_WORD}|\*|#))*")


def check_name(name: str) -> str:
    """Return `name` if a hook may be called so; raises ConfigurationError otherwise."""
    if len(name.encode()) > MAX_BYTES or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is no name for a hook: words of letters, digits, '_' and '-', joined by "
            f"dots, at most {MAX_BYTES} bytes."
        )
    return name


def check_pattern(pattern: str) -> str:
    """Return `pattern` if a listener may ask for it; raises ConfigurationError otherwise."""
    if len(pattern.encode()) > MAX_BYTES or not _PATTERN.fullmatch(pattern):
        raise ConfigurationError(
            f"{pattern!r} is neither a hook's name nor a pattern of names: words joined by dots, "
            f"'*' for one word, '#' for any number, at most {MAX_BYTES} bytes."
        )
    return pattern


def is_pattern(hook: str) -> bool:
    """Say whether `hook` is a pattern and not the name of one hook."""
    return "*" in hook or "#" in hook


def fits(pattern: str, name: str) -> bool:
    """Say whether `name` is one of the names that `pattern` stands for."""
    return _compiled(pattern).fullmatch("." + name) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    # RE2, since a subscriber writes the pattern and several "#" would let `re` backtrack. Each word
    # is matched with the dot before it, so that "#" may stand for no word at all.
    parts = {"*": r"\.[^.]+", "#": r"(?:\.[^.]+)*"}
    body = "".join(parts.get(word, re.escape("." + word)) for word in pattern.split("."))
    return re2.compile(body)

"""Types of arguments: each reads a text, or says what is wrong with it."""

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from durian.ids import LARGEST_ROW

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def age(text: str) -> float:
    """Return the seconds that `text` (such as 90s, 15m, 12h, 7d) says."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not found:
        raise ArgumentTypeError(f"{text!r} is no age: give a number and s, m, h or d, such as 12h.")
    return float(found[1]) * _UNITS[found[2]]


def moment(text: str) -> datetime:
    """Return the time that `text` says: ISO 8601, or an age such as 2h before now."""
    try:
        parsed = parse_datetime(text)
        if parsed is None:
            return timezone.now() - timedelta(seconds=age(text))
        return parsed if timezone.is_aware(parsed) else timezone.make_aware(parsed)
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(f"{text!r} is no time: {error}.") from error


def count(of: str) -> Callable[[str], int]:
    """Return a reader of numbers of things; `of` says of which."""

    def convert(text: str) -> int:
        if not text.isdecimal():
            raise ArgumentTypeError(f"{text!r} is no number of {of}")
        return int(text)

    return convert


def between(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    """Return a reader of numbers from `least` to `most`."""

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(least - 1)
        if not least <= value <= most:
            raise ArgumentTypeError(f"{text!r} is not a number from {least:g} to {most:g}")
        return value

    return convert


def listener_number(text: str) -> int:
    """Return the number of a listener that `text` says."""
    if not text.isdecimal() or int(text) > LARGEST_ROW:
        raise ArgumentTypeError(f"{text!r} is no number of a listener")
    return int(text)


port = between(int, 0, 65535)
"""A port; 0 is a free one."""

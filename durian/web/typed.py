"""What people type, as JSON and as conditions, and conditions as what people would have typed."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from durian import match

MAX_QUERY = 1000
"""Characters that may be typed beside a choice."""

Row = tuple[int, str]
"""A choice of durian.match.MATCHABLE_CHOICES, and the text beside it."""

# PostgreSQL's JSON holds neither of them; an even number of backslashes before is a backslash.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_CONST_OF = {condition.operator: const for const, condition in match.CONST_TO_MATCHABLE.items()}


def read_json(text: str) -> Any:
    """Return the JSON value that `text` spells. Raises ValueError, saying what is wrong."""
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_each_once,
        )
        written = json.dumps(value, ensure_ascii=False)
        written.encode()
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"This is not JSON: {error.msg} ({place}).") from None
    except UnicodeEncodeError:
        raise ValueError("The JSON holds half a character (a lone surrogate).") from None
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None
    if _NUL.search(written):
        raise ValueError("The JSON holds a NUL character, which cannot be stored.")
    return value


def read_object(text: str) -> dict[str, Any]:
    """Return the JSON object that `text` spells. Raises ValueError, saying what is wrong."""
    value = read_json(text)
    if not isinstance(value, dict):
        raise ValueError('This must be a JSON object: {"field": …}.')
    return value


def write(value: Any) -> str:
    """Return `value` as `read_json` reads it, in lines and with indents."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def condition(const: int, query: str) -> Any:
    """Return what a filter asks for when `query` is typed beside the choice `const`.

    "exact" takes a number, `true`, `false` and `null` for that value or for its text, since a
    site may send a number as text (Django does with decimals); double quotes ask for text alone.
    Raises InvalidFilter for a query that does not fit.
    """
    if const == match.CONDITION_EXACT:
        return _exact(query)
    return match.const_to_matchable(const, query)


def join(rows: Mapping[str, Row]) -> dict[str, Any]:
    """Return the filter, as JSON, of the fields and what is typed beside them."""
    asked = {
        name: condition(const, query)
        for name, (const, query) in rows.items()
        if const != match.CONDITION_PASS
    }
    return match.to_json(asked)


def split(wanted: Mapping[str, Any], names: Iterable[str]) -> tuple[dict[str, Row], dict[str, Any]]:
    """Return what would be typed for the filter `wanted`, and the rest, which cannot be typed."""
    rows = {}
    for name in names:
        for row in _candidates(wanted.get(name)):
            # As text, since to Python 1 is True.
            if _fits_a_line(row[1]) and write(join({name: row})) == write({name: wanted[name]}):
                rows[name] = row
    return rows, {name: value for name, value in wanted.items() if name not in rows}


def _exact(query: str) -> Any:
    try:
        value = read_json(query)
    except ValueError:
        return match.Is(query)
    if isinstance(value, str):
        return match.Is(value)
    if isinstance(value, list | dict):
        return match.Is(query)
    return {"$or": [match.Is(value), match.Is(query)]}


def _candidates(asked: Any) -> Iterator[Row]:
    """Yield what may have been typed for `asked`; only trying shows whether it was."""
    if not isinstance(asked, dict) or len(asked) != 1:
        return
    ((operator, value),) = asked.items()
    if operator == "$or" and isinstance(value, list):
        yield from _candidates(value[-1])
    elif operator in _CONST_OF and isinstance(value, str):
        yield _CONST_OF[operator], value
        if operator == match.Is.operator:
            yield match.CONDITION_EXACT, json.dumps(value, ensure_ascii=False)


def _fits_a_line(text: str) -> bool:
    return len(text) <= MAX_QUERY and "\r" not in text and "\n" not in text


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, item in pairs:
        if name in value:
            raise ValueError(f"The JSON has {name[:40]!r} twice in one object.")
        value[name] = item
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value.")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is too large a number.")
    return number

"""Calls in the internet of the tests, and what came of them.

`make` is for the tests; the calls are made by this module as a program, in a namespace.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from requests import Response

from deliverer.http import Result, Settings
from durian.guard import Guard
from tests.integration.conformance import WAYS, post
from tests.servers.internet import Internet, inside, internet

DEADLINE = 1.5


@dataclass(frozen=True)
class Call:
    """Call `url` in one of the WAYS, `times` in a row, each with an engine of its own."""

    url: str
    way: str
    times: int = 1
    allow_networks: Sequence[str] = ()
    allow_hosts: Sequence[str] = ()
    allow_ports: Sequence[int] = ()


@dataclass(frozen=True)
class Outcome:
    """The answer's status or the error's name and text, the addresses that were reached, and the
    seconds until all was over, the stopping of an engine included."""

    status: int | None
    error: str
    permanent: bool
    reached: Sequence[str]
    seconds: float


def make(calls: Sequence[Call]) -> list[list[Outcome]]:
    """Make `calls` in a new namespace, and return what came of each time of each."""
    made = inside(__name__, [asdict(call) for call in calls])
    return [[Outcome(**outcome) for outcome in times] for times in made]


def outcome(result: Result, reached: Sequence[str], seconds: float) -> Outcome:
    """Return `result` in a form that can be written as JSON."""
    if isinstance(result, Response):
        return Outcome(result.status_code, "", False, reached, seconds)
    text = f"{type(result).__name__}: {result}"
    return Outcome(None, text, result.permanent, reached, seconds)


def _outcomes(call: Call, here: Internet) -> Iterator[Outcome]:
    settings = Settings(Guard(call.allow_networks, call.allow_hosts, call.allow_ports))
    for _ in range(call.times):
        here.reached.clear()
        began = time.monotonic()
        with WAYS[call.way](settings) as make_exchange:
            result = make_exchange(post(call.url), DEADLINE)
        yield outcome(result, list(here.reached), time.monotonic() - began)


def _main() -> None:
    calls = [Call(**call) for call in json.load(sys.stdin)]
    with internet() as here:
        made = [[asdict(each) for each in _outcomes(call, here)] for call in calls]
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    _main()

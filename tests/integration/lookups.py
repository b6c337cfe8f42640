"""What an engine does with names, measured in the internet of the tests.

`measure` is for the tests; the rest is done by this module as a program, in a namespace.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from queue import SimpleQueue
from typing import Any
from unittest.mock import patch

from deliverer import resolver
from deliverer.engine import Engine, Took
from deliverer.http import Result, Settings
from durian.errors import DeliveryError
from durian.guard import Guard
from tests.integration.calls import DEADLINE, Outcome, outcome
from tests.integration.conformance import post, running, through
from tests.servers.free import wait_until
from tests.servers.internet import PORT, Internet, inside, internet
from tests.servers.proxy import running_proxy

SILENT = 150
PATIENCE = 4.0
CAUSES = ("absent", "empty", "failing", "refusing", "silent")


def measure() -> Mapping[str, Any]:
    """Do what each function below does, in a new namespace; gives what it returned by its name."""
    found: Mapping[str, Any] = inside(__name__, None)
    return found


def silence(engine: Engine, here: Internet) -> Mapping[str, Any]:
    """Call many names whose name server is silent, then one whose name server is not."""
    ended: SimpleQueue[Outcome] = SimpleQueue()
    threads, began = threading.active_count(), time.monotonic()

    def end(result: Result, took: Took) -> None:
        ended.put(outcome(result, [], time.monotonic() - began))

    for number in range(SILENT):
        engine.submit(post(f"http://{number}.silent.example:{PORT}/"), PATIENCE, end)
    wait_until(lambda: len(_asked(here, "silent.example")) == SILENT, 5, "all are asked for")
    prompt = through(engine)(post(f"http://prompt.public.example:{PORT}/"), PATIENCE)
    return {
        "prompt": asdict(outcome(prompt, [], time.monotonic() - began)),
        "threads": threading.active_count() - threads,
        "silent": [asdict(ended.get(timeout=PATIENCE + 5)) for _ in range(SILENT)],
    }


def recovery(engine: Engine, here: Internet) -> Mapping[str, Any]:
    """Give up a name, and call it again while its name server is still being asked."""
    url = f"http://again.silent.example:{PORT}/"
    results = [through(engine)(post(url), 0.2) for _ in range(3)]
    return {"outcomes": [asdict(outcome(result, [], 0.0)) for result in results]}


def slowness(engine: Engine, here: Internet) -> Mapping[str, Any]:
    """Call a name for which the name server asks others, after many that it knew."""
    for number in range(10):
        through(engine)(post(f"http://{number}.quick.public.example:{PORT}/"), DEADLINE)
    began = time.monotonic()
    result = through(engine)(post(f"http://a.slow.example:{PORT}/"), 4.0)
    return asdict(outcome(result, [], time.monotonic() - began))


def reconfiguration(engine: Engine, here: Internet) -> Mapping[str, Any]:
    """Have another name server in /etc/resolv.conf, while a look-up is under way."""
    with patch.object(resolver, "REREAD_SECONDS", 0.1), running(Settings(Guard())) as other:
        call = through(other)
        here.name_server("127.0.0.9")  # where nobody answers
        nobody = [""]

        def asked() -> bool:
            nobody[0] = str(call(post(f"http://{time.time_ns()}.public.example:{PORT}/"), 1.0))
            return "No name server could be reached" in nobody[0]

        wait_until(asked, 10, "the other name server is asked", 0.1)
        here.name_server("127.0.0.1")
        again: list[Result] = []

        def answered() -> bool:
            url = f"http://{time.time_ns()}.public.example:{PORT}/"
            again[:] = [call(post(url), 1.0)]
            return not isinstance(again[0], DeliveryError)

        wait_until(answered, 10, "the first name server is asked again", 0.1)
        return {"nobody": nobody[0], "again": asdict(outcome(again[0], [], 0.0))}


def causes(engine: Engine, here: Internet) -> Mapping[str, str]:
    """Call names that cannot be resolved, each for a reason of its own."""
    return {
        cause: str(through(engine)(post(f"http://why.{cause}.example:{PORT}/"), DEADLINE))
        for cause in CAUSES
    }


def keeping(engine: Engine, here: Internet) -> Mapping[str, Any]:
    """Call a name at once many times, in a row, and until it is looked up anew."""
    name = "kept.rebinding.example"
    ended: SimpleQueue[Result] = SimpleQueue()
    for _ in range(20):
        engine.submit(post(f"http://{name}:{PORT}/"), DEADLINE, lambda each, _: ended.put(each))
    first = [asdict(outcome(ended.get(timeout=5), [], 0.0)) for _ in range(20)]
    first += [
        asdict(outcome(through(engine)(post(f"http://{name}:{PORT}/"), DEADLINE), [], 0.0))
        for _ in range(20)
    ]
    questions = here.looked_up[name, 1]
    # By another port, for which no connection is open.
    other = post(f"http://{name}:{PORT + 1}/")
    _until(lambda: here.looked_up[name, 1] > questions, lambda: through(engine)(other, DEADLINE))
    return {
        "first": first,
        "questions": questions,
        "later": asdict(outcome(through(engine)(other, DEADLINE), [], 0.0)),
        "reached": sorted(set(here.reached)),
    }


def many(engine: Engine, here: Internet) -> Mapping[str, Any]:
    """Call a name of more addresses than are tried, all of them private."""
    guard = _Counting()
    with running(Settings(guard)) as other:
        result = through(other)(post(f"http://all.many.example:{PORT}/"), DEADLINE)
    return {"outcome": asdict(outcome(result, [], 0.0)), "tried": guard.count}


def crowd(engine: Engine, here: Internet) -> Mapping[str, Any]:
    """Call more names at once than may be asked for."""
    ended: SimpleQueue[Result] = SimpleQueue()
    with patch.object(resolver, "MAX_ASKED", 10):
        for number in range(15):
            url = f"http://{number}.crowd.silent.example/"
            engine.submit(post(url), DEADLINE, lambda each, _: ended.put(each))
        return {"errors": sorted(str(ended.get(timeout=DEADLINE + 5)) for _ in range(15))}


def proxied(engine: Engine, here: Internet) -> Mapping[str, Any]:
    """Call a name by way of a proxy, whose own look-up is none of the engine's."""
    name = "by-proxy.silent.example"
    with running_proxy() as proxy, running(Settings(Guard(), proxy.url)) as other:
        result = through(other)(post(f"https://{name}/"), 1.0)
        return {"outcome": asdict(outcome(result, [], 0.0)), "asked": proxy.asked}


def stopping(engine: Engine, here: Internet) -> Mapping[str, Any]:
    """Stop an engine that waits for a name server."""
    ended: SimpleQueue[Result] = SimpleQueue()
    engine.submit(post("http://stopped.silent.example/"), 30, lambda each, _: ended.put(each))
    wait_until(lambda: _asked(here, "stopped.silent.example"), 5, "it is asked for")
    began = time.monotonic()
    engine.stop()
    return asdict(outcome(ended.get(timeout=5), [], time.monotonic() - began))


EXPERIMENTS: Sequence[Callable[[Engine, Internet], Mapping[str, Any]]] = (
    silence,
    recovery,
    slowness,
    reconfiguration,
    causes,
    keeping,
    many,
    crowd,
    proxied,
    stopping,
)


class _Counting(Guard):
    count = 0

    def check_address(self, address: str, host: str, port: int) -> None:
        self.count += 1
        super().check_address(address, host, port)


def _asked(here: Internet, domain: str) -> Sequence[str]:
    with suppress(RuntimeError):  # a question comes while they are counted
        return [name for name, kind in here.looked_up if kind == 1 and name.endswith(domain)]
    return []


def _until(condition: Callable[[], bool], act: Callable[[], object]) -> None:
    def tried() -> bool:
        act()
        return condition()

    wait_until(tried, 10, "the name is looked up anew", 0.1)


def _main() -> None:
    json.load(sys.stdin)
    found = {}
    with internet() as here:
        for experiment in EXPERIMENTS:
            with running(Settings(Guard())) as engine:
                found[experiment.__name__] = experiment(engine, here)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    _main()

"""POSTs a second and CPU a POST: the engine beside libcurl alone and a requests.Session in threads.

    python -m tests.benchmarks.http_engine [--posts 20000] [--in-flight 256] [--threads 16] [--json]

All of them call the same private nginx, which answers 204, in the same run and with the same
requests, already prepared and signed; the engine once by the address and once by the name
localhost. It ends after a minute at the latest, however slow the
machine: a way that has not ended by its share of it shows what it did.
"""

import argparse
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

import psutil
import pycurl
import requests
from requests import PreparedRequest, Response

from deliverer.adapter import CurlAdapter
from deliverer.engine import Engine, Took
from deliverer.http import Result, Settings
from deliverer.request import prepare, request_for
from durian.cli.output import print_json, print_table
from durian.guard import Guard
from durian.signing import Signer, generate_secret
from durian.wire.messages import DeliveryMessage
from tests.servers.nginx import PrivateNginx

TIMEOUT = 5.0
MAX_SECONDS = 12.0
UUID = "01890000-0000-7000-8000-000000000000"
SETTINGS = Settings(Guard(allow_networks=["127.0.0.0/8"]))


@dataclass(frozen=True)
class Load:
    """What to do: `posts` requests like `request`, so many in flight, or by so many threads."""

    request: PreparedRequest
    posts: int
    in_flight: int
    threads: int


@dataclass(frozen=True)
class Figures:
    """What one way came to; CPU in microseconds of this process for each POST."""

    way: str
    posts: int
    per_second: float
    cpu_us: float


def by_libcurl(load: Load) -> int:
    """Make the POSTs by pycurl's multi interface with as little as possible around it."""
    multi, left, done = pycurl.CurlMulti(), load.posts, 0
    deadline = time.monotonic() + MAX_SECONDS
    lines = [f"{name}: {value}" for name, value in load.request.headers.items()]
    for _ in range(min(load.in_flight, left)):
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, str(load.request.url))
        handle.setopt(pycurl.POSTFIELDS, load.request.body)
        handle.setopt(pycurl.HTTPHEADER, lines)
        multi.add_handle(handle)
        left -= 1
    while done < load.posts and time.monotonic() < deadline:
        multi.perform()
        _, succeeded, failed = multi.info_read()
        if failed:
            raise AssertionError(failed[0][2])
        for handle in succeeded:
            done += 1
            multi.remove_handle(handle)
            if left:
                multi.add_handle(handle)
                left -= 1
        if not succeeded:
            multi.select(1.0)
    return done


def by_engine(load: Load) -> int:
    """Make the POSTs by durian's engine."""
    engine, ended, done = Engine(SETTINGS), threading.Event(), 0
    waiting = iter(range(load.posts))

    def on_result(result: Result, took: Took) -> None:
        nonlocal done
        _check(result)
        done += 1
        if done == load.posts:
            ended.set()
        submit()

    def submit() -> None:
        if next(waiting, None) is not None:
            engine.submit(load.request, TIMEOUT, on_result)

    engine.start()
    for _ in range(load.in_flight):
        submit()
    ended.wait(MAX_SECONDS)
    made = done
    engine.stop()
    return made


def by_engine_and_name(load: Load) -> int:
    """Make the POSTs by durian's engine, to a host whose name has to be resolved."""
    request = load.request.copy()
    request.url = str(request.url).replace("127.0.0.1", "localhost")
    return by_engine(replace(load, request=request))


def by_session(load: Load) -> int:
    """Make the POSTs by a requests.Session for each thread."""
    return _in_threads(load, requests.Session)


def by_adapter(load: Load) -> int:
    """Make the POSTs by a requests.Session for each thread, on durian's adapter."""

    def session() -> requests.Session:
        made = requests.Session()
        made.mount("http://", CurlAdapter(SETTINGS))
        return made

    return _in_threads(load, session)


def _in_threads(load: Load, session: Callable[[], requests.Session]) -> int:
    deadline = time.monotonic() + MAX_SECONDS
    done: list[int] = []

    def work() -> None:
        count = 0
        with session() as mine:
            while count < load.posts // load.threads and time.monotonic() < deadline:
                _check(mine.send(load.request, timeout=TIMEOUT))
                count += 1
        done.append(count)

    threads = [threading.Thread(target=work) for _ in range(load.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done)


def _check(result: Result) -> None:
    if not isinstance(result, Response) or result.status_code != 204:
        raise AssertionError(repr(result))


WAYS: dict[str, Callable[[Load], int]] = {
    "libcurl multi, bare (the limit)": by_libcurl,
    "Engine": by_engine,
    "Engine, by a name": by_engine_and_name,
    "requests.Session on CurlAdapter, threads": by_adapter,
    "requests.Session, threads": by_session,
}


def measure(load: Load) -> Iterator[Figures]:
    """Yield the figures of each way in turn."""
    for way, make in WAYS.items():
        before, began = _cpu(), time.monotonic()
        posts = make(load)
        seconds, cpu = time.monotonic() - began, _cpu() - before
        yield Figures(way, posts, posts / seconds, cpu / posts * 1e6)


def _cpu() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def signed_request(url: str) -> PreparedRequest:
    body = json.dumps({"model": "shop.order", "fields": {"number": 12345, "total": "99.90"}})
    delivery = DeliveryMessage(
        id=UUID, event=UUID, hook="shop.order.saved", listener=1, body=body, created=0.0
    )
    return request_for(prepare(url, {}), delivery, Signer([generate_secret()]), int(time.time()))


def main() -> None:
    """Measure, and print a table or a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--posts", type=int, default=20_000, help="for each way (%(default)s)")
    parser.add_argument("--in-flight", type=int, default=256, help="at once (%(default)s)")
    parser.add_argument("--threads", type=int, default=16, help="of a session (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    nginx = PrivateNginx()
    nginx.start()
    try:
        load = Load(signed_request(nginx.url()), options.posts, options.in_flight, options.threads)
        figures = list(measure(load))
    finally:
        nginx.stop()
    if options.json:
        print_json([asdict(each) for each in figures])
        return
    rows = [(f.way, f"{f.posts:,}", f"{f.per_second:,.0f}", f"{f.cpu_us:.0f}") for f in figures]
    print_table(["way", "POSTs", "POSTs/s", "CPU µs/POST"], rows)


if __name__ == "__main__":
    main()

"""The three ways to make an exchange, for tests that hold for each of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue

import pytest
import requests
from requests import PreparedRequest

from deliverer.adapter import CurlAdapter
from deliverer.engine import Engine
from deliverer.http import Result, Settings, exchange
from durian.errors import DeliveryError
from durian.guard import Guard

Call = Callable[[PreparedRequest, float], Result]
Caller = Callable[[Settings], Call]

LOOPBACK = Settings(Guard(allow_networks=["127.0.0.0/8"]))
"""What a test of HTTP itself calls with: the receivers listen on 127.0.0.1."""


def post(url: str, body: bytes | None = b"{}", **headers: str) -> PreparedRequest:
    """Return a POST of `body` to `url`, which is taken as it is."""
    request = requests.Request("POST", "http://placeholder/", headers=headers, data=body).prepare()
    request.url = url
    return request


@contextmanager
def running(settings: Settings) -> Iterator[Engine]:
    """An engine that is stopped at the end."""
    engine = Engine(settings)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def through(engine: Engine) -> Call:
    """Return a function that submits to `engine` and waits for the result."""

    def call(request: PreparedRequest, timeout: float) -> Result:
        results: SimpleQueue[Result] = SimpleQueue()
        engine.submit(request, timeout, lambda result, took: results.put(result))
        return results.get(timeout=timeout + 5)

    return call


@contextmanager
def _engine(settings: Settings) -> Iterator[Call]:
    with running(settings) as engine:
        yield through(engine)


@contextmanager
def _blocking(settings: Settings) -> Iterator[Call]:
    yield lambda request, timeout: exchange(request, timeout, settings)


@contextmanager
def _session(settings: Settings) -> Iterator[Call]:
    with requests.Session() as session:
        for prefix in ("http://", "https://", ""):
            session.mount(prefix, CurlAdapter(settings))

        def call(request: PreparedRequest, timeout: float) -> Result:
            try:
                return session.send(request, timeout=timeout, allow_redirects=False)
            except requests.RequestException as error:
                if isinstance(error.__cause__, DeliveryError):
                    return error.__cause__
                raise

        yield call


WAYS = {"engine": _engine, "exchange": _blocking, "session": _session}


@pytest.fixture(params=WAYS)
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    """Each way in turn: `caller(settings)` gives a function of a request and a timeout."""
    with ExitStack() as stack:
        yield lambda settings: stack.enter_context(WAYS[request.param](settings))


@pytest.fixture
def call(caller: Caller) -> Call:
    """Each way in turn, to receivers on 127.0.0.1."""
    return caller(LOOPBACK)

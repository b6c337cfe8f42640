"""Everything at once: a site saves orders, and durian takes them to the receiver meanwhile."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import quantiles

from tests.benchmarks import load
from tests.benchmarks.rows import Row, Values
from tests.benchmarks.site import SITES, Raiser, as_fast_as_they_arrive
from tests.benchmarks.stage import Running, Stage

WHOLE_SECONDS = 10
PACED_SECONDS = 5
SHARES = (10, 50, 80)
IDLE_RATE = 10
IDLE_SECONDS = 15
PERCENTILES = (50, 95, 99)


def measure(stage: Stage) -> Iterator[Row]:
    """Yield the latency from `save()` to the receiver on an idle system, and the sustained rate."""
    with _listening(stage) as running:
        yield from _latency(stage, "idle", "on an idle system", IDLE_RATE, IDLE_SECONDS)
        yield from _sustained(stage, running)


def measure_more(stage: Stage, done: Values) -> Iterator[Row]:
    """Yield the latency at parts of that rate."""
    with _listening(stage):
        for share in SHARES:
            what = f"at {share} % of that rate"
            rate = done["whole.rate"] * share / 100
            yield from _latency(stage, f"at{share}", what, rate, PACED_SECONDS)


@contextmanager
def _listening(stage: Stage) -> Iterator[Running]:
    stage.clear()
    load.listeners(1, stage.nginx.url)
    with stage.running("matcher", "deliverer") as running:
        yield running
    stage.clear()


def _sustained(stage: Stage, running: Running) -> Iterator[Row]:
    arrivals = stage.arrivals()
    options = as_fast_as_they_arrive(stage.nginx.arrivals, WHOLE_SECONDS)
    with ExitStack() as stack:
        raisers = [Raiser(stage, "raising", 1_000_000, *options) for _ in range(SITES)]
        sites = [stack.enter_context(raiser.under_way()) for raiser in raisers]
        arrivals.wait_for(1, seconds=10)
        meter = stage.meter(**running, **{f"site {n}": one for n, one in enumerate(sites, 1)})
        arrivals.wait_for(1_000_000, seconds=WHOLE_SECONDS)
        arrived, cpu = arrivals.count(), meter.seconds()
    yield Row("whole.rate", "whole: save() to the receiver, sustained", arrivals.rate(), "events/s")
    for name, seconds in [*cpu.items(), ("all", sum(cpu.values()))]:
        yield Row(f"whole.cpu.{name}", f"  CPU of {name}", seconds / arrived * 1e6, "µs/event")


def _latency(stage: Stage, key: str, what: str, rate: float, seconds: int) -> Iterator[Row]:
    arrivals = stage.arrivals()
    raisers = [Raiser(stage, "paced", rate / SITES, seconds, site) for site in range(SITES)]
    with ExitStack() as stack:
        for raiser in raisers:
            stack.enter_context(raiser.under_way())
    raised = dict(pair for raiser in raisers for pair in _raised(raiser.output()))
    came = arrivals.of(raised.keys(), seconds=10)
    took = [(came[name] - moment) * 1000 for name, moment in raised.items()]
    points = quantiles(took, n=100, method="inclusive")
    for percent in PERCENTILES:
        row = f"latency, save() to receiver, {what}: p{percent}"
        yield Row(f"latency.{key}.p{percent}", row, points[percent - 1], "ms")


def _raised(output: str) -> Iterator[tuple[str, float]]:
    for line in output.splitlines():
        moment, name = line.split()
        yield name, float(moment)

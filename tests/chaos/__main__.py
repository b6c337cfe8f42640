"""`make chaos`: one fault after the other, a line and a row of JSON for each."""

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from tests.chaos import document
from tests.chaos.faults import FAULTS, SABOTAGED, SHORT, Fault
from tests.chaos.row import Row, head
from tests.chaos.world import World, pause
from tests.servers.cluster import PrivateCluster
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.rabbitmq import PrivateRabbitMQ

AFTERMATH_SECONDS = 1.5


def main() -> int:
    """Return 0 if no fault lost or broke anything, else 1."""
    options = _options()
    # As at Ctrl-C, the servers and processes are ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    names = _names(options)
    print(f"seed {seed}; {len(names)} faults, {options.n} times\n{head()}", flush=True)
    rows: list[Row] = []
    with _servers() as (rabbitmq, postgresql):
        for number in range(options.n):
            for name in names:
                chance = random.Random(f"{seed}-{number}-{name}")
                world = partial(World, f"{name}-{number}", rabbitmq, postgresql, chance)
                rows.append(_round(name, partial(world, sabotage=options.sabotage)))
                _report(rows[-1], options.json)
        servers = document.versions(rabbitmq, postgresql)
    if options.document:
        document.write(rows, seed, servers)
    bad = [row.fault for row in rows if not row.good]
    said = f" Bad: {', '.join(bad)}" if bad else ""
    print(f"seed {seed}; {len(rows) - len(bad)} of {len(rows)} good.{said}")
    return int(bool(bad))


def _names(options: argparse.Namespace) -> list[str]:
    if options.faults:
        return list(options.faults)
    if options.sabotage:
        return list(SABOTAGED)
    return list(SHORT if options.short else FAULTS)


@contextmanager
def _servers() -> Iterator[tuple[PrivateRabbitMQ, PrivatePostgreSQL]]:
    with ExitStack() as stack:
        rabbitmq, postgresql = PrivateRabbitMQ(), PrivatePostgreSQL()
        for server in (rabbitmq, postgresql):
            stack.callback(server.stop)
            server.start()
        yield rabbitmq, postgresql


@contextmanager
def _cluster(wanted: bool) -> Iterator[PrivateCluster | None]:
    if not wanted:
        yield None
        return
    cluster = PrivateCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _round(name: str, world: Callable[..., World]) -> Row:
    fault, began = FAULTS[name], time.monotonic()
    with _cluster(fault.cluster) as cluster:
        try:
            return suffer(world(cluster=cluster, old=fault.old), name, fault, began)
        except Exception as error:
            # The others shall have their turn; this one is bad.
            wrong = [f"{type(error).__name__}: {error}"]
            return Row(name, seconds=round(time.monotonic() - began, 1), wrong=wrong)


def suffer(world: World, name: str, fault: Fault, began: float) -> Row:
    """Run `world` under load, do the harm of `fault`, and return the account."""
    with world.running():
        with world.load.running():
            world.warm_up()
            fault.harm(world)
            pause(AFTERMATH_SECONDS)
        world.settled()
        grown = world.fleet.growth()
        # What they hold goes back to the queues, where it is counted.
        world.fleet.end()
        counted, refusals = count(world, name), world.load.failures
        return replace(
            counted,
            refused=len(refusals),
            may_refuse=fault.site_suffers,
            broken=len(world.fleet.broken),
            memory=round(grown.memory, 1),
            files=grown.files,
            seconds=round(time.monotonic() - began, 1),
            wrong=counted.wrong + world.fleet.broken + ([] if fault.site_suffers else refusals),
        )


def count(world: World, name: str) -> Row:
    """Return the account of the events."""
    account = world.account
    expected, received, dead = account.expected(), account.received(), account.dead()
    lost, ghosts = expected - set(received) - dead, set(received) - expected
    wrong = [f"lost: {pair}" for pair in account.names(lost)]
    wrong += [f"not to be received: {pair}" for pair in account.names(ghosts)]
    again = {pair: count - 1 for pair, count in received.items() if count > 1}
    unexplained = set(again) - set(world.struck)
    wrong += [f"received again, without cause: {pair}" for pair in account.names(unexplained)]
    return Row(
        fault=name,
        events=len({number for number, _ in expected}),
        expected=len(expected),
        received=len(expected & set(received)),
        duplicates=sum(again.values()),
        at_most=sum(world.struck.values()),
        unexplained=sum(again[pair] for pair in unexplained),
        dead=len(dead),
        lost=len(lost),
        ghosts=len(ghosts),
        queued=world.queued(),
        wrong=wrong,
    )


def _report(row: Row, path: Path | None) -> None:
    print(row.line())
    for wrong in row.wrong:
        print(f"    {wrong}")
    as_json = json.dumps(asdict(row) | {"good": row.good})
    print(as_json, flush=True)
    if path:
        with path.open("a") as file:
            file.write(as_json + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument(
        "faults", nargs="*", metavar="fault", help=f"only these, of: {', '.join(FAULTS)}"
    )
    parser.add_argument("-n", type=int, default=1, help="how many rounds (default: 1)")
    parser.add_argument("--seed", type=int, help="for the random choices (default: a new one)")
    parser.add_argument("--json", type=Path, help="append the rows of JSON to this file, too")
    parser.add_argument(
        "--document", action="store_true", help="put the table into docs/reliability.md"
    )
    parser.add_argument("--short", action="store_true", help=f"only {', '.join(SHORT)}")
    parser.add_argument(
        "--sabotage",
        action="store_true",
        help=f"ack too early: must lose something (default: {', '.join(SABOTAGED)})",
    )
    options = parser.parse_args()
    if unknown := sorted(set(options.faults) - set(FAULTS)):
        parser.error(f"no such fault: {', '.join(unknown)}; there are: {', '.join(FAULTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())

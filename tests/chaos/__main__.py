"""`make chaos`: one fault after the other, a line and a row of JSON for each."""

import argparse
import json
import random
import signal
import sys
import time
from dataclasses import asdict

from tests.chaos.account import Row
from tests.chaos.faults import FAULTS, SHORT
from tests.chaos.world import World, pause
from tests.servers.postgresql import PrivatePostgreSQL
from tests.servers.rabbitmq import PrivateRabbitMQ

COLUMNS = ("events", "expected", "received", "duplicates", "dead", "lost", "ghosts", "queued")
SETTLE_SECONDS = 120.0


def main() -> int:
    """Return 0 if no fault lost anything, else 1."""
    options = _options()
    # As at Ctrl-C, the servers and processes are ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    names = [options.fault] if options.fault else list(SHORT if options.short else FAULTS)
    print(f"seed {seed}; {len(names)} faults", flush=True)
    print(f"{'fault':26}" + "".join(f"{column:>11}" for column in COLUMNS) + "    seconds")
    rabbitmq, postgresql = PrivateRabbitMQ(), PrivatePostgreSQL()
    rows = []
    try:
        rabbitmq.start()
        postgresql.start()
        for round_number in range(options.n):
            for name in names:
                chance = random.Random(f"{seed}-{round_number}-{name}")
                key = f"{name}-{round_number}".replace("-", "_")
                world = World(key, rabbitmq, postgresql, chance, options.sabotage)
                rows.append(suffer(world, name))
                _print(rows[-1])
    finally:
        postgresql.stop()
        rabbitmq.stop()
    bad = [row.fault for row in rows if not row.good]
    print(
        f"{len(rows) - len(bad)} of {len(rows)} good." + (f" Bad: {', '.join(bad)}" if bad else "")
    )
    return int(bool(bad))


def suffer(world: World, name: str) -> Row:
    """Run `world` under load, do the harm of the fault `name`, and return the account."""
    began = time.monotonic()
    with world.running():
        with world.load():
            pause(1.5)
            FAULTS[name](world)
            pause(1.5)
        world.settled(SETTLE_SECONDS)
        return world.account.row(name, time.monotonic() - began, world.queued())


def _print(row: Row) -> None:
    counts = asdict(row)
    line = f"{row.fault:26}" + "".join(f"{counts[column]:>11}" for column in COLUMNS)
    print(f"{line}  {row.seconds:>9}{'' if row.good else '  BAD'}")
    print(json.dumps(counts), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("fault", nargs="?", choices=sorted(FAULTS), help="only this fault")
    parser.add_argument("-n", type=int, default=1, help="how many rounds (default: 1)")
    parser.add_argument("--seed", type=int, help="for the random choices (default: a new one)")
    parser.add_argument("--short", action="store_true", help=f"only {', '.join(SHORT)}")
    parser.add_argument(
        "--sabotage", action="store_true", help="ack too early: must lose something"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""Saves orders at a rate, in a process of the site, and prints when which event was due.

    python -m tests.benchmarks.paced RATE SECONDS SEED [--stay]

The moments are those of a Poisson process, the same at each run. Prints a line for each event: the
time (since the epoch) at which its `save()` was due, and its id. One that is late, since the one
before took its time, counts from when it was due: so it would for a visitor. With `--stay` the
process does nothing more until it is ended: a site without visitors.
"""

import argparse
import random
import signal
import sys
import time
from typing import Any

import django

from durian.signals import events_recorded
from tests.benchmarks.raising import save

WARM_UP = 20
Raised = list[tuple[str, float]]


def run(rate: float, seconds: float, seed: int) -> Raised:
    """Save orders for so many seconds and return the events with the times."""
    ids: list[str] = []

    def remember(events: list[Any], **_: object) -> None:
        ids.extend(str(event.id) for event in events)

    events_recorded.connect(remember, weak=False)
    chance, raised = random.Random(seed), []
    for number in range(WARM_UP):
        save(number)
    ids.clear()
    moment = time.monotonic()
    end = moment + seconds
    while moment < end:
        moment += chance.expovariate(rate)
        time.sleep(max(moment - time.monotonic(), 0))
        raised.append(time.time() - (time.monotonic() - moment))
        save(len(raised))
    return list(zip(ids, raised, strict=True))


def main() -> None:
    """Save what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rate", type=float)
    parser.add_argument("seconds", type=float)
    parser.add_argument("seed", type=int)
    parser.add_argument("--stay", action="store_true")
    options = parser.parse_args()
    django.setup()
    for name, moment in run(options.rate, options.seconds, options.seed):
        print(f"{moment:.6f} {name}")
    sys.stdout.flush()
    if options.stay:
        print("staying", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()

"""`make bench`: measures durian beside the limits of its parts and beside a peer, in one run.

    python -m tests.benchmarks [FIGURE …] [--check] [--minutes N]

Prints a table with the goals beside the figures, and writes bench.json, bench.png and bench.svg.
Without FIGURE all are measured, in ten minutes at most if not told otherwise. Broker, database and
receiver are private ones, and share the machine with what is measured.
"""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.chart import draw
from tests.benchmarks.machine import describe
from tests.benchmarks.report import missed, print_rows, unjudged
from tests.benchmarks.rows import Row
from tests.benchmarks.stage import Stage

WRITTEN = Path("bench.json")
MINUTES = 10.0
LAST_MINUTES = 2.2
"""What the last figures take: with less than that left none is begun."""

FIGURES = {
    "limits": "tests.benchmarks.limits",
    "peer": "tests.benchmarks.peer.runner",
    "send": "tests.benchmarks.send",
    "relay": "tests.benchmarks.relay",
    "matcher": "tests.benchmarks.matcher",
    "deliverer": "tests.benchmarks.deliverer",
    "slow": "tests.benchmarks.slow",
    "pipeline": "tests.benchmarks.pipeline",
    "whole": "tests.benchmarks.whole",
    "idle": "tests.benchmarks.idle",
    "isolation": "tests.benchmarks.isolation",
    "growth": "tests.benchmarks.growth",
    "cluster": "tests.benchmarks.cluster",
}


def measure(stage: Stage, names: list[str], minutes: float) -> Iterator[Row]:
    """Yield the rows of each figure in turn, within so many `minutes`."""
    deadline = time.monotonic() + (minutes - LAST_MINUTES) * 60
    for name in names:
        began = time.monotonic()
        if began > deadline:
            _say(f"{name}: not measured, little is left of the {minutes:g} minutes (--minutes)")
            continue
        # App loading: the figures import models, which need the stage's settings.
        yield from importlib.import_module(FIGURES[name]).measure(stage)
        _say(f"{name}: {time.monotonic() - began:.0f} s")


def run(names: list[str], minutes: float) -> dict[str, Any]:
    """Measure the figures and return them with the machine and the date."""
    began, stage, rows = time.monotonic(), Stage(), []
    with stage.open():
        for row in measure(stage, names, minutes):
            _say(f"  {row.key} {row.value:,.1f} {row.unit}")
            rows.append(row)
        machine = describe(stage)
    return {
        # In UTC, whatever zone the settings of the site have set for the process.
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "minutes": (time.monotonic() - began) / 60,
        "machine": machine,
        "rows": [row._asdict() for row in rows],
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print and write; return 1 when asked to check and a goal is not met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help="how long it may take (%(default)g)"
    )
    options = parser.parse_args()
    if unknown := set(options.figures) - set(FIGURES):
        parser.error(f"there is no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    done = run(options.figures or list(FIGURES), options.minutes)
    rows = [Row(**row) for row in done["rows"]]
    print_rows(rows)
    WRITTEN.write_text(json.dumps(done, indent=1) + "\n")
    draw(rows, WRITTEN.with_suffix(".png"), WRITTEN.with_suffix(".svg"))
    # What was not asked for is not missed; of a whole run every goal has to be judged.
    short = missed(rows) or (not options.figures and unjudged(rows))
    return int(options.check and bool(short))


if __name__ == "__main__":
    sys.exit(main())

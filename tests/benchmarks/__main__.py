"""`make bench`: measures durian beside the limits of its parts and beside a peer, in one run.

    python -m tests.benchmarks [FIGURE …] [--check] [--minutes N]

Prints a table with the goals beside the figures, and writes bench.json, bench.png and bench.svg.
Without FIGURE all are measured, in ten minutes at most if not told otherwise: first, of each, what
has a goal, so that a slow machine is judged, too; then what there is to tell besides. Broker,
database and receiver are private ones, and share the machine with what is measured.
"""

import argparse
import importlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.chart import draw
from tests.benchmarks.machine import describe
from tests.benchmarks.report import missed, print_rows, unjudged
from tests.benchmarks.rows import Row, Values, values_of
from tests.benchmarks.stage import Stage

WRITTEN = Path("bench.json")
MINUTES = 10.0
GOAL_MINUTES, MORE_MINUTES = 1.7, 0.7
"""What the longest figure takes that has a goal, and of the rest: with less left none is begun."""

FIGURES = {
    "limits": "tests.benchmarks.limits",
    "matcher": "tests.benchmarks.matcher",
    "send": "tests.benchmarks.send",
    "relay": "tests.benchmarks.relay",
    # Next to the peer stands what is held against its speed.
    "peer": "tests.benchmarks.peer.runner",
    "pipeline": "tests.benchmarks.pipeline",
    "deliverer": "tests.benchmarks.deliverer",
    "slow": "tests.benchmarks.slow",
    "whole": "tests.benchmarks.whole",
    "idle": "tests.benchmarks.idle",
    "isolation": "tests.benchmarks.isolation",
    "growth": "tests.benchmarks.growth",
    "cluster": "tests.benchmarks.cluster",
}


class Run:
    """The rows of each of `names`, in that order, measured within so many `minutes`."""

    def __init__(self, names: list[str], minutes: float) -> None:
        self._began, self._seconds = time.monotonic(), minutes * 60
        self._rows: dict[str, list[Row]] = {name: [] for name in names}
        self.left_out: list[str] = []

    def measure(self, stage: Stage) -> None:
        """Measure what time allows."""
        # App loading: the figures import models, which need the stage's settings.
        modules = {name: importlib.import_module(FIGURES[name]) for name in self._rows}
        for name, module in modules.items():
            if hasattr(module, "measure"):
                self._take(name, GOAL_MINUTES, module.measure(stage))
        for name, module in modules.items():
            if hasattr(module, "measure_more") and name not in self.left_out:
                self._take(name, MORE_MINUTES, module.measure_more(stage, self.values()))

    def _take(self, name: str, minutes: float, rows: Iterator[Row]) -> None:
        began = self.elapsed()
        if self._seconds - began < minutes * 60:
            self.left_out.append(name)
            return
        for row in rows:
            _say(f"  {row.key} {row.value:,.1f} {row.unit}")
            self._rows[name].append(row)
        _say(f"{name}: {self.elapsed() - began:.0f} s")

    def elapsed(self) -> float:
        """Return for how many seconds it has run."""
        return time.monotonic() - self._began

    def rows(self) -> list[Row]:
        """Return all rows, those of a figure together."""
        return [row for rows in self._rows.values() for row in rows]

    def values(self) -> Values:
        """Return what was measured so far, by key."""
        return values_of(self.rows())


def run(names: list[str], minutes: float) -> dict[str, Any]:
    """Measure the figures and return them with the machine and the date."""
    done, stage = Run(names, minutes), Stage()
    with stage.open():
        done.measure(stage)
        machine = describe(stage)
    if done.left_out:
        names_left = ", ".join(done.left_out)
        _say(f"Not measured, or not all of it, in {minutes:g} minutes (--minutes): {names_left}")
    return {
        # In UTC, whatever zone the settings of the site have set for the process.
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "minutes": done.elapsed() / 60,
        "machine": machine,
        "left_out": [*done.left_out, *(name for name in FIGURES if name not in names)],
        "rows": [row._asdict() for row in done.rows()],
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
    # As at Ctrl-C, the servers and processes are ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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

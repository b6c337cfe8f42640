"""`make bench`: measures durian beside the limits of its parts and beside a peer, in one run.

    python -m tests.benchmarks [FIGURE …] [--check] [--json FILE]

Without FIGURE all are measured, in ten minutes at most. Broker, database and receiver are private
ones, and share the machine with what is measured.
"""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.report import as_json, missed, print_rows
from tests.benchmarks.rows import Row
from tests.benchmarks.stage import Stage

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
}


def measure(names: list[str]) -> Iterator[Row]:
    """Yield the rows of each figure in turn."""
    stage = Stage()
    with stage.open():
        for name in names:
            began = time.monotonic()
            # App loading: the figures import models, which need the stage's settings.
            yield from importlib.import_module(FIGURES[name]).measure(stage)
            _say(f"{name}: {time.monotonic() - began:.0f} s")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure and print; return 1 when asked to check and a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    parser.add_argument("--json", type=Path, default=Path("bench.json"))
    options = parser.parse_args()
    if unknown := set(options.figures) - set(FIGURES):
        parser.error(f"there is no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    rows = []
    for row in measure(options.figures or list(FIGURES)):
        _say(f"  {row.key} {row.value:,.1f} {row.unit}")
        rows.append(row)
    print_rows(rows)
    options.json.write_text(json.dumps(as_json(rows), indent=1) + "\n")
    return int(options.check and bool(missed(rows)))


if __name__ == "__main__":
    sys.exit(main())

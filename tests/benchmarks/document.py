"""Puts the figures of a run into the documents: `python -m tests.benchmarks.document [FILE]`.

FILE is what `make bench` wrote, bench.json by default. What is between two marks in
docs/performance.md and in the README is written anew, and the chart.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.chart import draw
from tests.benchmarks.report import COLUMNS, cells, missed, number
from tests.benchmarks.rows import Row

ROOT = Path(__file__).parents[2]
SUMMARY = {
    "send.rate",
    "send.many",
    "relay.rate",
    "deliverer.rate",
    "pipeline.rate",
    "whole.rate",
    "latency.idle.p50",
    "latency.idle.p99",
    "matcher.mixed",
}
BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
CPU = ".cpu."


def markdown(run: dict[str, Any]) -> str:
    """Return the run as Markdown."""
    rows = [Row(**row) for row in run["rows"]]
    figures = [row for row in rows if not _is_cost(row) and not row.key.endswith(".others")]
    parts = [
        f"Run on {run['date']}, in {run['minutes']:.0f} minutes.",
        "\n".join(_table(("", ""), run["machine"].items())),
        "![The chart of this run](performance.svg)",
        "\n".join(_table(COLUMNS, cells(figures, rows))),
        "\n".join(f"Missed: {goal.key} {goal}." for goal in missed(rows)),
        "CPU in microseconds for each event, by process:",
        "\n".join(_cpu_table(rows)),
        "So one core of each is enough for so many events a second, each for one listener:",
        "\n".join(_cores(rows)),
    ]
    return "\n\n".join(part for part in parts if part)


def _is_cost(row: Row) -> bool:
    return CPU in row.key and row.unit == "µs/event"


def _cpu_table(rows: Sequence[Row]) -> Iterator[str]:
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        figure, is_cpu, process = row.key.partition(CPU)
        if is_cpu and _is_cost(row):
            found.setdefault(figure, {})[process] = row.value
        elif row.key.endswith(".others"):
            found.setdefault(row.key.removesuffix(".others"), {})["others, % of CPU"] = row.value
    processes = list(dict.fromkeys(name for costs in found.values() for name in costs))
    lines = [
        (figure, *(number(costs[name]) if name in costs else "" for name in processes))
        for figure, costs in found.items()
    ]
    return _table(("figure", *processes), lines)


def _cores(rows: Sequence[Row]) -> Iterator[str]:
    found = [row for row in rows if row.key.startswith(f"pipeline{CPU}") and row.value]
    lines = [(row.key.rpartition(".")[2], f"{1e6 / row.value:,.0f}") for row in found]
    return _table(("a core of", "events/s"), lines)


def _table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for line in lines:
        yield f"| {' | '.join(line)} |"


def summary(run: dict[str, Any]) -> str:
    """Return the few figures that the README shows."""
    rows = [Row(**row) for row in run["rows"]]
    found = cells([row for row in rows if row.key in SUMMARY], rows)
    lines = [(what, f"{value} {unit}", beside) for what, value, unit, beside, *_ in found]
    table = "\n".join(_table(("", "", "beside"), lines))
    return f"{table}\n\n{run['machine']['processor']}, shared by all parts; {run['date']}."


def _put(document: Path, text: str) -> None:
    before, _, rest = document.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    document.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main() -> None:
    """Write documents and chart."""
    file = sys.argv[1] if len(sys.argv) > 1 else "bench.json"
    run = json.loads(Path(file).read_text())
    if run["left_out"]:
        left_out = ", ".join(run["left_out"])
        raise SystemExit(f"The documents show a whole run; {file} lacks all or some of {left_out}.")
    _put(ROOT / "docs" / "performance.md", markdown(run))
    _put(ROOT / "README.md", summary(run))
    chart = ROOT / "docs" / "performance.svg"
    draw([Row(**row) for row in run["rows"]], chart, chart.with_suffix(".png"))


if __name__ == "__main__":
    main()

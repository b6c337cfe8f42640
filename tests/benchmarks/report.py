"""What a run prints and writes: one table with the goals beside the figures, and JSON."""

from collections.abc import Sequence

from durian.cli.output import print_table
from tests.benchmarks.goals import GOALS, REFERENCES
from tests.benchmarks.rows import Goal, Row, Values, values_of

COLUMNS = ("figure", "value", "unit", "beside", "goal", "met")


def missed(rows: Sequence[Row]) -> list[Goal]:
    """Return the goals that were judged and not met."""
    values = values_of(rows)
    return [goal for goal in GOALS if goal.met(values) is False]


def unjudged(rows: Sequence[Row]) -> list[Goal]:
    """Return the goals for which a figure is missing."""
    values = values_of(rows)
    return [goal for goal in GOALS if goal.met(values) is None]


def print_rows(rows: Sequence[Row]) -> None:
    """Print the table."""
    print_table(COLUMNS, cells(rows, rows))
    for goal in missed(rows):
        print(f"MISSED: {goal.key} {goal}")


def cells(rows: Sequence[Row], of_run: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the table's cells as text, row by row, judged by what the whole run measured."""
    values = values_of(of_run)
    return [
        (row.what, number(row.value), row.unit, _beside(row, values), *_judged(row, values))
        for row in rows
    ]


def number(value: float) -> str:
    """Return `value` with three digits or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _beside(row: Row, values: Values) -> str:
    reference = REFERENCES.get(row.key, "")
    if reference not in values:
        return ""
    return f"{number(row.value / values[reference])} × {reference}"


def _judged(row: Row, values: Values) -> tuple[str, str]:
    goals = [goal for goal in GOALS if goal.key == row.key]
    results = [goal.met(values) for goal in goals]
    if not goals:
        return "", ""
    text = "yes" if all(results) else "NO" if False in results else "not judged"
    return ", ".join(map(str, goals)), text

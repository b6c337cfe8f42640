"""The chart of a run: rates beside limits and peer, latency under load, cost by listeners."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from tests.benchmarks.goals import GOALS
from tests.benchmarks.rows import Row, Values, values_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATES = (
    ("limits.post", "libcurl alone"),
    ("limits.publish", "broker: publish"),
    ("limits.consume", "broker: consume"),
    ("limits.commits", "database: commits"),
    ("limits.send", "database: two INSERTs"),
    ("peer.send", "peer: save()"),
    ("send.rate", "durian: save()"),
    ("send.many", "durian: send_many"),
    ("peer.drain", "peer: drain its queue"),
    ("relay.rate", "durian: relay"),
    ("matcher.rate.1", "durian: matcher"),
    ("deliverer.rate", "durian: deliverer"),
    ("deliverer.rate_200ms", "… receivers of 200 ms"),
    ("deliverer.rate_2s", "… receivers of 2 s"),
    ("pipeline.rate", "durian: outbox to receiver"),
    ("peer.whole", "peer: everything at once"),
    ("whole.rate", "durian: everything at once"),
)
LOADS = (("idle", "idle"), ("at10", "10 %"), ("at50", "50 %"), ("at80", "80 %"))
SIZES = (1_000, 10_000, 100_000, 1_000_000)
COLOURS = {"limits": "#9aa5b1", "peer": "#c77d3b"}
DURIAN = "#2f6f4f"
GOAL = "#b3261e"


def draw(rows: Sequence[Row], *files: Path) -> None:
    """Write the chart of `rows` to each of `files`, in the format of its name.

    What was not measured is left out.
    """
    values = values_of(rows)
    panels = [panel for needed, panel in PANELS.items() if needed in values]
    figure = Figure(figsize=(10, 4 * max(len(panels), 1)), layout="constrained")
    for place, panel in enumerate(panels, start=1):
        panel(figure.add_subplot(len(panels), 1, place), values)
    for file in files:
        # Without the moment of its making, the same figures give the same file.
        metadata = {"Date": None} if file.suffix == ".svg" else None
        figure.savefig(file, dpi=120, metadata=metadata)


def _rates(axes: "Axes", values: Values) -> None:
    shown = [(key, name) for key, name in reversed(RATES) if key in values]
    for place, (key, _) in enumerate(shown):
        colour = COLOURS.get(key.partition(".")[0], DURIAN)
        axes.barh(place, values[key], color=colour)
        axes.text(values[key], place, f" {values[key]:,.0f}", va="center", fontsize=8)
        for goal in GOALS:
            bound = goal.bound(values)
            if goal.key == key and bound is not None:
                axes.plot([bound] * 2, [place - 0.4, place + 0.4], color=GOAL)
    axes.set_yticks(range(len(shown)), [name for _, name in shown], fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(10, max(values[key] for key, _ in shown) * 3)
    axes.set_title("events a second (red: goals)", fontsize=10)


def _latency(axes: "Axes", values: Values) -> None:
    for percent, shade in ((99, 0.35), (95, 0.6), (50, 1.0)):
        found = [(name, values.get(f"latency.{key}.p{percent}", 0.0)) for key, name in LOADS]
        names, heights = zip(*found, strict=True)
        axes.bar(names, heights, color=DURIAN, alpha=shade, label=f"p{percent}")
    axes.legend(fontsize=8)
    axes.set_title("ms from save() to the receiver, by load", fontsize=10)


def _matching(axes: "Axes", values: Values) -> None:
    for many in (1, 10, 100):
        points = [
            (size, values[f"matcher.{size}.{many}"])
            for size in SIZES
            if f"matcher.{size}.{many}" in values
        ]
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{many} match")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.legend(fontsize=8)
    axes.set_title("µs of the matcher for an event, by listeners", fontsize=10)


PANELS: Mapping[str, Callable[["Axes", Values], None]] = {
    "limits.publish": _rates,
    "latency.at50.p50": _latency,
    "matcher.1000.1": _matching,
}
"""Which figure has to be there for a part of the chart."""

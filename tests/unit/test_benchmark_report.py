"""What `make bench` says of its figures."""

from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.chart import draw
from tests.benchmarks.document import markdown, summary
from tests.benchmarks.goals import machine
from tests.benchmarks.report import cells, missed, unjudged
from tests.benchmarks.rows import Goal, Row

FAST = Row("pipeline.rate", "pipeline", 1e6, "events/s")
PEER = Row("peer.drain", "peer", 200.0, "events/s")


def run(*rows: Row) -> dict[str, Any]:
    return {
        "date": "2026-01-01",
        "minutes": 1.0,
        "machine": {"processor": "a quick one, 2 cores"},
        "rows": [row._asdict() for row in rows],
    }


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (Goal("a", 10), 10, True),
        (Goal("a", 10), 9.9, False),
        (Goal("a", 10, at_most=True), 10, True),
        (Goal("a", 10, at_most=True), 10.1, False),
        (Goal("a", 2, of="b"), 200, True),
        (Goal("a", 2, of="b"), 199, False),
        (Goal("a", 2, of="c"), 1e9, None),
        (Goal("c", 1), 1, None),
    ],
)
def test_a_goal_is_met_missed_or_cannot_be_judged(goal: Goal, value: float, met: object) -> None:
    assert goal.met({"a": value, "b": 100}) is met


def test_a_figure_below_its_goal_is_missed_and_shown_as_such() -> None:
    slow = Row("pipeline.rate", "pipeline", 2_400.0, "events/s")
    rows = [slow, PEER, *machine(PEER.value)]
    assert list(map(str, missed(rows))) == ["≥ 2,500 × machine.speed", "≥ 15 × peer.drain"]
    (shown,) = cells([slow], rows)
    assert shown[1:] == (
        "2,400",
        "events/s",
        "12 × peer.drain",
        "≥ 2,500 × machine.speed, ≥ 15 × peer.drain",
        "NO",
    )


@pytest.mark.parametrize(
    ("peer", "rate", "micros", "met"),
    [
        (75.0, 1_250.0, 120.0, True),
        (75.0, 1_240.0, 120.0, False),
        (75.0, 1_250.0, 121.0, False),
        (300.0, 2_500.0, 60.0, True),
        (300.0, 2_490.0, 60.0, False),
        (300.0, 2_500.0, 61.0, False),
    ],
)
def test_a_slower_machine_is_held_against_its_speed(
    peer: float, rate: float, micros: float, met: bool
) -> None:
    figures = [Row("pipeline.rate", "", rate, "/s"), Row("matcher.mixed", "", micros, "µs/event")]
    assert (missed([*figures, *machine(peer)]) == []) is met


def test_a_goal_beside_a_figure_that_was_not_measured_is_not_met() -> None:
    assert Goal("pipeline.rate", 15, of="peer.drain") in unjudged([FAST])
    assert cells([FAST], [FAST])[0][-1] == "not judged"


def test_the_documents_show_what_was_measured() -> None:
    cpu = Row("pipeline.cpu.matcher", "  CPU of matcher", 50.0, "µs/event")
    text = markdown(run(FAST, PEER, cpu))
    assert "| pipeline | 1,000,000 | events/s | 5,000 × peer.drain |" in text
    assert "| matcher | 20,000 |" in text, "a core of 50 µs an event"
    assert "1,000,000 events/s" in summary(run(FAST, PEER))


def test_a_chart_is_drawn_of_whatever_there_is(tmp_path: Path) -> None:
    files = [tmp_path / "chart.png", tmp_path / "chart.svg"]
    draw([Row("limits.publish", "", 20_000.0, "/s"), Row("relay.rate", "", 9_000.0, "/s")], *files)
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert "<svg" in files[1].read_text()

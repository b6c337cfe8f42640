"""What `durian status` found, as Prometheus reads it (text format 0.0.4)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from durian.cli.health import Health

Labels = Mapping[str, str]


class _Gauge(NamedTuple):
    name: str
    what: str
    values: Sequence[tuple[Labels, float]]


def exposition(health: Health) -> str:
    """Return it as gauges; what could not be asked for is left out."""
    return "".join(line + "\n" for gauge in _gauges(health) for line in _lines(gauge))


def _gauges(health: Health) -> Iterator[_Gauge]:
    there = [queue for queue in health.queues if queue.exists]
    yield _Gauge(
        "durian_queue_messages",
        "Messages that wait in a queue of the broker.",
        [({"queue": queue.name}, queue.messages) for queue in there],
    )
    yield _Gauge(
        "durian_queue_consumers",
        "Processes that consume a queue.",
        [({"queue": queue.name}, queue.consumers) for queue in there],
    )
    for key, name, what in (
        ("waiting", "events", "Events that wait in the outbox."),
        ("set_aside", "set_aside", "Events that could not be published."),
        ("oldest_seconds", "oldest_seconds", "How long the oldest event has waited."),
    ):
        values = [({"database": using}, box[key]) for using, box in health.outbox.items()]
        yield _Gauge(f"durian_outbox_{name}", what, values)
    yield _Gauge(
        "durian_listeners",
        "Listeners by state.",
        [({"state": state}, count) for state, count in health.listeners.items()],
    )
    yield _Gauge(
        "durian_attempts_last_minute",
        "Attempts that began in the last minute and are in the log, by outcome.",
        [({"outcome": outcome}, count) for outcome, count in health.attempts.items()],
    )
    yield _Gauge(
        "durian_problems", "What `durian status` finds wrong.", [({}, len(health.problems))]
    )


def _lines(gauge: _Gauge) -> Iterator[str]:
    if gauge.values:
        yield f"# HELP {gauge.name} {gauge.what}"
        yield f"# TYPE {gauge.name} gauge"
    for labels, value in gauge.values:
        pairs = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        yield gauge.name + (f"{{{pairs}}}" if pairs else "") + f" {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

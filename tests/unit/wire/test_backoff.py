import pytest

from durian.wire import backoff
from durian.wire.backoff import FIRST_SECONDS, MOST_SECONDS, Backoff


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(backoff, "time", clock)
    return clock


def test_the_first_try_is_due_at_once(clock: Clock) -> None:
    assert Backoff().due


def test_each_failure_makes_the_wait_longer_and_none_more_than_the_most(clock: Clock) -> None:
    waits = Backoff()
    ceilings = [min(MOST_SECONDS, FIRST_SECONDS * 2**number) for number in range(1000)]
    for ceiling in ceilings:
        assert ceiling / 2 <= waits.failed() <= ceiling


def test_a_try_is_due_when_the_wait_is_over(clock: Clock) -> None:
    waits = Backoff()
    wait = waits.failed()
    assert not waits.due
    clock.now += wait * 0.99
    assert not waits.due
    clock.now += wait * 0.02
    assert waits.due


def test_a_success_forgets_the_failures(clock: Clock) -> None:
    waits = Backoff()
    for _ in range(10):
        waits.failed()
    waits.succeeded()
    assert waits.due
    assert waits.failed() <= FIRST_SECONDS


def test_processes_that_failed_together_do_not_come_back_together(clock: Clock) -> None:
    assert len({Backoff().failed() for _ in range(20)}) > 10

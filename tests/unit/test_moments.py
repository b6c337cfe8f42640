import pytest

from deliverer.moments import Moments


def reserved(count: int, interval: float = 1.0) -> Moments:
    moments = Moments(1000.0)
    moments.ahead(interval, 1000.0)
    for _ in range(count):
        moments.reserve()
    return moments


def test_each_one_that_is_reserved_is_an_interval_more() -> None:
    moments = reserved(0, 0.5)
    found = []
    for _ in range(4):
        found.append(moments.ahead(0.5, 1000.0))
        moments.reserve()
    assert found == [0.0, 0.5, 1.0, 1.5]


def test_time_takes_them_off_and_leaves_no_debt() -> None:
    moments = reserved(4)
    assert moments.ahead(1.0, 1001.5) == pytest.approx(2.5)
    assert moments.ahead(1.0, 1010.0) == 0.0
    moments.reserve()
    assert moments.ahead(1.0, 1010.0) == 1.0


def test_the_same_line_is_shorter_once_the_receiver_is_faster() -> None:
    moments = reserved(100)
    assert moments.ahead(0.01, 1000.0) == pytest.approx(1.0)


def test_they_are_over_when_the_last_has_come() -> None:
    moments = reserved(2, 3.0)
    assert not moments.over(1005.9)
    assert moments.over(1006.0)
    assert Moments(1000.0).over(1000.0)

"""What the garbage collector has to do with objects that are to stay."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from durian.lasting import forget, keep, lasting


class Cycle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_no_collection_looks_at_what_was_made() -> None:
    with lasting():
        assert not gc.isenabled()
        made = [Cycle() for _ in range(1000)]
    assert gc.isenabled()
    seen = set(map(id, gc.get_objects()))
    assert not seen & set(map(id, made))


def test_garbage_of_before_does_not_last() -> None:
    gone = weakref.ref(Cycle())
    with lasting():
        assert gone() is None


def test_what_is_kept_is_not_looked_at_and_no_garbage_is_kept() -> None:
    made, gone = Cycle(), weakref.ref(Cycle())
    keep()
    assert gone() is None
    assert not any(one is made for one in gc.get_objects())


def test_what_is_forgotten_can_be_collected() -> None:
    with lasting():
        gone = weakref.ref(Cycle())
    gc.collect()
    assert gone() is not None
    forget()
    gc.collect()
    assert gone() is None


def test_nothing_lasts_of_what_failed() -> None:
    before = gc.get_freeze_count()
    with pytest.raises(RuntimeError), lasting():
        raise RuntimeError("the database is away")
    assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_collections_that_were_off_stay_so() -> None:
    gc.disable()
    try:
        with lasting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()

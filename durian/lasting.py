"""Objects that are to stay, kept out of the garbage collector's way.

A collection looks at every object that may be part of a cycle, and nothing runs meanwhile: with
a million filters in memory, for more than a second.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting() -> Iterator[None]:
    """Let no collection look at what is made within, neither meanwhile nor later.

    It is freed as usual when nothing refers to it; only cycles of it are not, until `forget`.
    """
    enabled = gc.isenabled()
    # What is garbage now would last, too.
    gc.collect()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


def keep() -> None:
    """Let no later collection look at what there is now, but for its garbage, which goes."""
    gc.collect()
    gc.freeze()


def forget() -> None:
    """Let the next collection look at everything again."""
    gc.unfreeze()

"""Python's collector of garbage: held while much is made of which nothing is garbage yet, and kept from what stays."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (10_000, 10, 100)
"""The young are looked at after those of some fifty runs and not of three; all after some 40,000 runs, not 400.

A look at all goes through what the recent runs left, a tenth of a second; hardly anything of that is garbage.
"""


@contextmanager
def no_collection() -> Iterator[None]:
    """Nothing that is read or imported inside is garbage: looking for it again and again costs a fifth of the time.

    It holds for all threads of the process. Where collection is off already, it stays off at the end.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def settle() -> None:
    """What was imported and loaded by now stays: no later collection visits it.

    A server calls it before it serves, and again once more was loaded. Without it each full collection goes through
    every object of every module, a tenth of a second in which nothing is answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)

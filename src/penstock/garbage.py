"""Python's collector of garbage, held while much is made of which nothing is garbage yet."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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

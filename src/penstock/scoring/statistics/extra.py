"""The extra that brings the statistics libraries."""

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.errors import Unavailable


@contextmanager
def evals_extra() -> Iterator[None]:
    """Around the import of a statistics library: a missing one raises `Unavailable` with the line that brings it."""
    try:
        yield
    except ImportError as fault:
        raise Unavailable(
            f"statistics need {fault.name or 'a library'}", now="pip install 'penstock[evals]'"
        ) from fault

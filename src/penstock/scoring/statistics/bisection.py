"""The edge of a property that holds below it and not above."""

from collections.abc import Callable


def edge(holds: Callable[[float], bool], low: float, high: float, *, halvings: int) -> float:
    """The highest value found from `low` to `high` for which the property holds; `low` where it never does."""
    for _ in range(halvings):
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low

"""Named points between two steps of apply and publish, where a test may end the process."""

from collections.abc import Callable


def _go_on(point: str) -> None:
    """Does nothing: what every process but a crash test's does."""


_reached: list[Callable[[str], None]] = [_go_on]


def step(point: str) -> None:
    """Says that what stands before `point` is done and what stands after has not begun."""
    _reached[-1](point)


def arm(action: Callable[[str], None] | None) -> None:
    """Calls `action` at each point from now on; None disarms."""
    del _reached[1:]
    if action is not None:
        _reached.append(action)

"""Event patterns of contract suites: types in order, `type` or `type:name`, `*` = any events between."""

from collections.abc import Sequence
from typing import get_args

from penstock.contracts.event import EventType
from penstock.engine.sequence import Step

ANY = "*"


def pattern_faults(pattern: Sequence[str]) -> list[str]:
    """What no event can ever meet: a sentence for each item whose type does not exist."""
    known = set(get_args(EventType)) - {"token.delta", "llm.retried"}
    return [
        f"{item!r} names no event type; known: {', '.join(sorted(known))} and {ANY}"
        for item in pattern
        if item != ANY and item.partition(":")[0] not in known
    ]


def first_mismatch(pattern: Sequence[str], steps: Sequence[Step]) -> str | None:
    """None if all of `steps` fit the pattern from first to last, else one sentence on where they part.

    `*` takes as little as it can and grows only while what follows does not fit: at most len(pattern) x len(steps).
    """
    at, position, star, taken = 0, 0, -1, 0
    furthest = (0, 0)
    while position < len(steps):
        if at < len(pattern) and pattern[at] == ANY:
            star, taken = at, position
            at += 1
        elif at < len(pattern) and steps[position].fits(pattern[at]):
            at, position = at + 1, position + 1
            furthest = max(furthest, (at, position))
        elif star >= 0:
            taken += 1
            at, position = star + 1, taken
        else:
            return _sentence(pattern, steps, furthest)
    while at < len(pattern) and pattern[at] == ANY:
        at += 1
    return None if at == len(pattern) else _sentence(pattern, steps, max(furthest, (at, position)))


def _sentence(pattern: Sequence[str], steps: Sequence[Step], furthest: tuple[int, int]) -> str:
    at, position = furthest
    expected = pattern[at] if at < len(pattern) else "the end"
    found = str(steps[position]) if position < len(steps) else "the end"
    return f"event {position + 1} is {found} where the pattern has {expected} (item {at + 1})"

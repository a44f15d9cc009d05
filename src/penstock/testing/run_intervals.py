"""When runs were at work, from their events: what of a limit was broken for certain."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from penstock.contracts.event import TERMINAL

Interval = tuple[float, float]
BEGUN = frozenset({"run.started", "run.resumed"})


def at_work(events: Sequence[dict[str, Any]]) -> list[Interval]:
    """The seconds (since the epoch) between which each attempt of a run had its place for certain.

    The first event after a place was had is the begin. An attempt whose process died had its place until its last
    event at least; what never began has none.
    """
    found = []
    for attempt in sorted({event["attempt"] for event in events}):
        own = [event for event in events if event["attempt"] == attempt]
        begun = [second_of(event) for event in own if event["type"] in BEGUN]
        if begun:
            ends = [second_of(event) for event in own if event["type"] in TERMINAL]
            found.append((begun[0], ends[0] if ends else second_of(own[-1])))
    return found


def most_at_once(intervals: Iterable[Interval]) -> int:
    """The most intervals that share one moment; one that ends as another begins shares none."""
    edges = sorted(edge for begun, ended in intervals for edge in ((begun, 1), (ended, -1)))
    most = running = 0
    for _, change in edges:
        running += change
        most = max(most, running)
    return most


def most_in_window(starts: Iterable[float], window_s: float) -> int:
    """The most starts within any `window_s` seconds."""
    ordered = sorted(starts)
    most = first = 0
    for index, start in enumerate(ordered):
        while ordered[first] <= start - window_s:
            first += 1
        most = max(most, index - first + 1)
    return most


def second_of(event: dict[str, Any]) -> float:
    """An event's time in seconds since the epoch."""
    return datetime.fromisoformat(event["time"]).timestamp()

"""The sequence of a run's events as suites and diffs see it: what happened, without the order that is chance."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Event = Mapping[str, Any]

_TOOL_EVENTS = ("tool.started", "tool.finished", "tool.failed")
_DENIED = "policy.decided"
_UNTOLD = (
    "token.delta",
    "llm.retried",
    "tool.retried",
    "breaker.opened",
    "breaker.closed",
    "review.requested",
    "review.decided",
)
_OF_ATTEMPTS = ("run.queued", "run.interrupted", "run.resumed")


@dataclass(frozen=True, slots=True)
class Step:
    """One event as a suite sees it: its type, the tool's or model's name, and what was asked and answered."""

    type: str
    name: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.type}:{self.name}" if self.name else self.type

    def fits(self, pattern: str) -> bool:
        """Whether one item of a pattern means this event."""
        kind, _, name = pattern.partition(":")
        return kind == self.type and name in ("", self.name)


def sequence_of(events: Iterable[Event]) -> list[Step]:
    """The steps of a run. What runtimes may do in any order comes out in one order.

    The tool calls between two model calls were in flight together: they are put in the order in which the model asked
    for them, each call's events in a row. Token deltas are no facts; that something was asked again, what a breaker
    thinks of it, or that a person was asked first, says nothing of the run, and no replay has it; an allowed decision
    says nothing that the call itself does not say. A denied one stays.
    """
    steps: list[Step] = []
    turn: list[Event] = []
    for event in as_one_attempt(events):
        if event["type"] in _UNTOLD or _is_allowed(event):
            continue
        if event["type"] in _TOOL_EVENTS or _is_tool_denial(event) or "callId" in event["data"]:
            turn.append(event)
            continue
        steps += _settled(turn)
        turn = []
        steps.append(_step(event))
    return steps + _settled(turn)


def as_one_attempt(events: Iterable[Event]) -> list[Event]:
    """The events as if one process had run it all: a call that was made again counts as it went last."""
    told = [event for event in events if event["type"] not in _OF_ATTEMPTS]
    last = {call: event.get("attempt", 1) for event in told if (call := _call_of(event)) is not None}
    return [event for event in told if (call := _call_of(event)) is None or event.get("attempt", 1) == last[call]]


def _call_of(event: Event) -> tuple[Any, ...] | None:
    """What tells the event's call from others of its run; None of an event that is of no call."""
    kind, data = event["type"].partition(".")[0], event["data"]
    if kind not in ("llm", "tool"):
        return None
    return (kind, data.get("callId") or (data.get("digest"), data.get("n")))


def _is_allowed(event: Event) -> bool:
    return event["type"] == _DENIED and bool(event["data"].get("allowed"))


def _is_tool_denial(event: Event) -> bool:
    return event["type"] == _DENIED and str(event["data"].get("resource", "")).startswith("tools/")


def _settled(turn: list[Event]) -> list[Step]:
    """The tool events of one turn call by call; a denial goes with the event of its tool that follows it."""
    calls: dict[str, list[Event]] = {}
    waiting: list[Event] = []
    for event in turn:
        if event["type"] == _DENIED:
            waiting.append(event)
            continue
        call_id = str(event["data"].get("callId", ""))
        denials = [denial for denial in waiting if _name(denial) == _name(event)]
        waiting = [denial for denial in waiting if denial not in denials]
        calls.setdefault(call_id, []).extend([*denials, event])
    ordered = [event for call_id in sorted(calls, key=_asked) for event in calls[call_id]]
    return [_step(event) for event in [*ordered, *waiting]]


def _asked(call_id: str) -> tuple[str, tuple[int, ...]]:
    """Call ids end in _<n>_<i>: the i-th request of that answer; numbers are compared as numbers."""
    stem, *numbers = call_id.rsplit("_", 2)
    return stem, tuple(int(number) if number.isdecimal() else 0 for number in numbers)


def _step(event: Event) -> Step:
    data = event["data"]
    detail = [data.get(key) for key in ("digest", "n", "code", "resultDigest", "callId") if data.get(key) is not None]
    error = data.get("error")
    if isinstance(error, Mapping):
        detail.append(error.get("code"))
    return Step(str(event["type"]), _name(event), " ".join(map(str, detail)))


def _name(event: Event) -> str:
    data = event["data"]
    if event["type"] == _DENIED:
        return str(data.get("resource", "")).partition("/")[2]
    kind = str(event["type"]).partition(".")[0]
    return str(data.get({"llm": "model", "tool": "tool"}.get(kind, ""), ""))

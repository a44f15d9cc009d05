"""What a queued run is held by: one process at a time, and another goes on where that one stopped."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

from penstock.engine.failure import Failure
from penstock.engine.journal import Journal
from penstock.engine.sink import Sink
from penstock.errors import Unavailable
from penstock.store.payload_objects import Claim
from penstock.store.reviews import Decision
from penstock.store.unknown_outcomes import Found

if TYPE_CHECKING:
    from penstock.engine.call import RunCall

Event = dict[str, Any]
Awaited = Literal["outcome-unknown", "review"]
"""What a run waits for a person for: a writing call that may have been made, or calls that need a decision."""
_ENDS_OF_TOOLS = frozenset({"tool.finished", "tool.failed"})


@dataclass(frozen=True)
class Past:
    """What earlier attempts of a run left on record: its events, at least one, and what they can answer from.

    `journal` holds no failed model call that ended an attempt: that one is made again. `open_intents` are ids of
    writing calls that were about to be made, and of which nobody knows whether they were; `decisions` are those of
    persons on calls, `found` is what persons found of calls of unknown outcome, both by the calls' ids.
    """

    events: tuple[Event, ...]
    journal: Journal
    open_intents: frozenset[str]
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    found: Mapping[str, Found] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        events: Iterable[Event],
        journal: Iterable[Mapping[str, Any]],
        intents: Iterable[str],
        decisions: Iterable[Decision] = (),
        found: Mapping[str, Found] | None = None,
    ) -> "Past":
        """From what is stored: events in their order, journal entries as documents, ids of intended calls."""
        past = cls(tuple(events), Journal.from_entries(_without_last_failures(list(journal))), frozenset())
        by_call = {one.call_id: one for one in decisions}
        return cls(past.events, past.journal, frozenset(intents) - past.ended_calls, by_call, found or {})

    @property
    def was_interrupted(self) -> bool:
        """Whether the last attempt stopped to wait for a person, rather than with its process."""
        return bool(self.events[-1]["type"] == "run.interrupted")

    def has_told(self, kind: str, call_id: str) -> bool:
        """Whether an event of that type about that call is on record."""
        return any(event["type"] == kind and event["data"].get("callId") == call_id for event in self.events)

    @cached_property
    def ended_calls(self) -> frozenset[str]:
        """The ids of tool calls whose end is on record."""
        return frozenset(event["data"]["callId"] for event in self.events if event["type"] in _ENDS_OF_TOOLS)

    @property
    def span_id(self) -> str:
        """The run's own span, which all its attempts share."""
        return str(self.events[0]["spanId"])

    @property
    def started_at(self) -> str:
        """When the first attempt began, RFC 3339."""
        begun = (event["time"] for event in self.events if event["type"] == "run.started")
        return str(next(begun, self.events[0]["time"]))

    @property
    def elapsed_s(self) -> float:
        """Seconds since then by this machine's clock, at least 0."""
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.started_at)).total_seconds())


class RunLease(Sink, Protocol):
    """One attempt of a queued run. As a sink it makes what is committed durable where every process can read it.

    A commit raises `PenstockError` when the lease is another's by now, and then nothing was written.
    """

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        ...

    @property
    def accepted_at(self) -> str:
        """When the run was accepted, RFC 3339."""
        ...

    @property
    def input_claim(self) -> Claim | None:
        """What stands for the input in the payload store; None of one that is small."""
        ...

    @property
    def is_batch(self) -> bool:
        """Whether all others go first."""
        ...

    @property
    def past(self) -> Past | None:
        """What earlier attempts left; None when that is nothing."""
        ...

    def begins(self, call: "RunCall") -> None:
        """Hears what the run is made of, before anything is written."""
        ...

    async def postpone(self, failure: Failure, *, rejected: bool, awaits_review: Awaited | None) -> bool:
        """Decides whether a run that did not finish has ended; True = it has not, and is given back."""
        ...


class Postponed(Unavailable):
    """The run has not ended: another attempt follows, or a person has to decide."""

    def __init__(self, failure: Failure, where: str, *, awaits_review: bool = False) -> None:
        super().__init__(f"the run goes on later: {failure.what}", where=where, now="GET /v1/runs/{id} says how it is")
        self.awaits_review = awaits_review


def _without_last_failures(journal: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The journal without the failed model calls that no later one made good.

    A failure that a spare model made good stays: the model itself might answer now, and lead the run elsewhere.
    """
    answered = [place for place, entry in enumerate(journal) if entry["door"] == "model" and not _has_failed(entry)]
    last = max(answered, default=-1)
    after = [entry for entry in journal[last + 1 :] if entry["door"] == "tool" or not _has_failed(entry)]
    return [*journal[: last + 1], *after]


def _has_failed(entry: Mapping[str, Any]) -> bool:
    return "error" in entry["response"]

"""Conditions: what stands in the way of a move, each in one sentence. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from penstock.contracts.line import LineStop
from penstock.contracts.pipeline import Pipeline
from penstock.contracts.policy import Stage
from penstock.contracts.release import Release
from penstock.contracts.stages import StagesSpec
from penstock.release.blackout import closed, windows_of
from penstock.release.clock import stamp

Kind = Literal[
    "obstacle", "place", "status", "hold", "degraded", "line", "quarantine", "blackout", "canary", "gate", "approval"
]
OVERRIDABLE: frozenset[Kind] = frozenset({"degraded", "canary", "gate", "approval"})
"""What a release manager's override lifts; the rest has a command of its own that lifts it, or an end."""
WAITING: frozenset[Kind] = frozenset({"line", "blackout", "canary", "gate", "approval"})
"""What may be met later by doing nothing to the version: whoever asked for the move may wait for it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One unmet condition; `next_open` only of a blackout: when it is met by itself."""

    kind: Kind
    sentence: str
    next_open: datetime | None = None

    def as_document(self) -> dict[str, Any]:
        """The condition as a JSON object."""
        opens = {"nextOpen": stamp(self.next_open) if self.next_open is not None else None}
        return {"kind": self.kind, "what": self.sentence, **(opens if self.kind == "blackout" else {})}


def standing_conditions(agent: str, stages: StagesSpec, release: Release | None) -> list[Condition]:
    """The agent's status, its hold, and the quarantine of the release."""
    unmet = []
    if stages.status != "active":
        unmet.append(Condition("status", f"{agent} is {stages.status}: `agentctl thaw {agent}` first"))
    if stages.hold is not None:
        held = f"held by {stages.hold.by} since {stages.hold.since}: {stages.hold.reason}"
        unmet.append(Condition("hold", f"{held}; `agentctl unhold {agent}` lifts it"))
    if release is not None and release.digest in stages.quarantined:
        lift = f"`agentctl unquarantine {release.digest} --reason TEXT` lifts it"
        unmet.append(Condition("quarantine", f"release {release.digest} is quarantined; {lift}"))
    return unmet


def degraded_conditions(agent: str, stages: StagesSpec, stage: Stage) -> list[Condition]:
    """What live runs of a degraded agent show is of another model: nothing goes on to callers by it."""
    if stages.degraded is None or stage == "dev":
        return []
    one = stages.degraded
    told = f"degraded to {one.model} by {one.by} since {one.since}: {one.reason}"
    return [Condition("degraded", f"{told}; `agentctl degrade {agent} --off` ends it")]


def line_conditions(stops: Iterable[LineStop]) -> list[Condition]:
    """Each stop of the whole project's line."""
    return [
        Condition(
            "line", f"the line was stopped by {stop.who} at {stop.at}: {stop.reason}; `agentctl unhold --all` starts it"
        )
        for stop in stops
    ]


def blackout_conditions(pipeline: Pipeline, agent: str, stage: Stage, at: datetime) -> list[Condition]:
    """Why the stage is closed at `at`, with the moment at which it opens."""
    found = closed(windows_of(pipeline.spec.blackouts, agent, stage), at)
    return [Condition("blackout", found.sentence, found.next_open)] if found is not None else []

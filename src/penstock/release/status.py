"""Status: who stands where, what the next stage still asks for, what waits, drifts or is held. Reads only."""

from dataclasses import dataclass, field
from typing import Any

from penstock.contracts.policy import Stage
from penstock.contracts.routing_table import RoutingTable
from penstock.contracts.stages import StagesSpec
from penstock.errors import NotFound, PenstockError
from penstock.registry.document_faults import did_you_mean
from penstock.release.automatic import pending_versions
from penstock.release.judge import Judge
from penstock.release.lifecycle import EMPTY
from penstock.release.overlaid import stages_in_force
from penstock.release.plan import plan, traffic
from penstock.release.publish import history_of, staged_agents
from penstock.release.situation import read_situation
from penstock.release.workspace import Workspace


@dataclass(frozen=True, slots=True)
class NextStep:
    """A version, the stage that it would go to, and what still stands in the way."""

    version: str
    stage: Stage
    unmet: tuple[str, ...]

    def as_document(self) -> dict[str, Any]:
        """The step as a JSON object."""
        return {"version": self.version, "to": self.stage, "unmet": list(self.unmet)}


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """One agent. `stages` is what the table in force says; `uncommitted` are urgent changes that Git lacks."""

    agent: str
    stages: StagesSpec
    pending: tuple[str, ...] = ()
    steps: tuple[NextStep, ...] = ()
    uncommitted: tuple[str, ...] = ()
    drift: tuple[str, ...] = field(default=())

    def as_document(self) -> dict[str, Any]:
        """The status as a JSON object."""
        return {
            "agent": self.agent,
            "stages": self.stages.as_document(),
            "traffic": traffic(self.stages),
            "pending": list(self.pending),
            "next": [step.as_document() for step in self.steps],
            "uncommitted": list(self.uncommitted),
            "drift": list(self.drift),
        }


def agent_statuses(workspace: Workspace, agent: str | None, *, steps: bool) -> list[AgentStatus]:
    """The status of one agent or (None) of all, at the base branch as last fetched.

    `steps`: with the unmet conditions of each next stage, which asks the database. Raises `NotFound`, `Unavailable`.
    """
    head = workspace.base_head()
    registry = workspace.registry(head)
    table = workspace.releases.newest_table()
    known = sorted({*registry.agents(), *staged_agents(workspace, head), *(table.agents if table is not None else ())})
    if agent is not None and agent not in known:
        hint = did_you_mean(agent, known)
        raise NotFound(f"no agent {agent!r} on the base branch", now=hint or f"known: {', '.join(known) or 'none'}")
    return [_status(workspace, table, one, head, steps=steps) for one in known if agent in {None, one}]


def _status(workspace: Workspace, table: RoutingTable | None, agent: str, head: str, *, steps: bool) -> AgentStatus:
    stages = stages_in_force(table, agent) if table is not None and agent in table.agents else EMPTY
    history = history_of(workspace, Judge(workspace, table), agent, head)
    entries = table.overlay.get(agent, []) if table is not None else []
    uncommitted = [entry for entry in entries if entry.id not in history.overlays]
    drift = [str(one) for one in history.unresolved]
    known = table.agents.get(agent) if table is not None else None
    if history.commit != (known.commit if known is not None else None):
        commit = (history.commit or "")[:12]
        drift.append(f"commit {commit} of its stages file is not published yet: `agentctl reconcile`")
    pending = pending_versions(workspace.registry(head).versions(agent), stages)
    return AgentStatus(
        agent,
        stages,
        tuple(pending),
        tuple(_steps(workspace, agent, head, stages, pending)) if steps else (),
        tuple(f"{(one.model_extra or {}).get('kind', 'change')} by {one.actor}: {one.reason}" for one in uncommitted),
        tuple(drift),
    )


def _steps(workspace: Workspace, agent: str, head: str, stages: StagesSpec, pending: list[str]) -> list[NextStep]:
    wanted: list[tuple[str, Stage]] = [(version, "dev") for version in pending]
    wanted += [(one.version, "canary") for one in stages.dev]
    wanted += [(stages.canary.version, "prod")] if stages.canary is not None else []
    found = []
    for version, stage in wanted:
        try:
            unmet = tuple(one.sentence for one in plan(read_situation(workspace, agent, version, stage, head)).unmet)
        except PenstockError as error:
            unmet = (error.what,)
        found.append(NextStep(version, stage, unmet))
    return found

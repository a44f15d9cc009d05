"""Reads how far a canary is: its step, its sessions, and what the live analysis says of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from penstock.contracts.pipeline import Pipeline
from penstock.contracts.routing_table import AgentRoutes
from penstock.contracts.stages import CanaryStanding
from penstock.errors import NotFound, Unavailable
from penstock.release.canary_step import began, step_of
from penstock.release.clock import moment_of, stamp
from penstock.release.move import Move
from penstock.release.proof import missing_proof
from penstock.release.rollout import Rollout
from penstock.release.stages_file import stages_of, stages_path
from penstock.release.workspace import Workspace
from penstock.scoring.canary.analysis import Analysis, stored_analysis
from penstock.scoring.canary.comparison import Comparison


@dataclass(frozen=True, slots=True)
class NoAnalysis:
    """Live runs that could not be read: no evidence, which is neither a yes nor a no."""

    reason: str
    outcome: Literal["errored"] = "errored"

    def as_document(self) -> dict[str, Any]:
        """What there is instead of an analysis, as a JSON object."""
        return {"outcome": self.outcome, "reason": self.reason}


def read_rollout(
    workspace: Workspace, agent: str, routes: AgentRoutes, pipeline: Pipeline, at: datetime
) -> Rollout | None:
    """The rollout of the canary in force at `at`; None where there is none, or no prod that it could share with.

    A database that cannot be read is an analysis without evidence, and no error. Raises `Unavailable` for Git and the
    release store.
    """
    canary = stages_of(routes).canary
    if canary is None or routes.canary is None or routes.prod is None:
        return None
    since = _in_force_since(workspace, routes, canary.since, at)
    try:
        analysis: Analysis | NoAnalysis = _analysis(workspace, agent, routes, canary, pipeline, at)
    except Unavailable as error:
        analysis = NoAnalysis(error.what)
    found = analysis if isinstance(analysis, Analysis) else None
    return Rollout(
        number=canary.step,
        count=max(canary.step, len(pipeline.spec.canary.steps)),
        step=step_of(pipeline, canary),
        since=since,
        waiting_since=_waiting_since(workspace, agent, since),
        now=at,
        sessions=found.sessions_since(stamp(since)) if found is not None else 0,
        analysis=analysis,
        proof=missing_proof(found, pipeline, canary, at) if found is not None else "",
    )


def _analysis(
    workspace: Workspace, agent: str, routes: AgentRoutes, canary: CanaryStanding, pipeline: Pipeline, at: datetime
) -> Analysis:
    assert routes.canary is not None
    assert routes.prod is not None
    releases = workspace.releases
    comparison = Comparison(
        analysis=pipeline.spec.canary.analysis,
        canary=releases.get_release(routes.canary.release).agent.spec,
        prod=releases.get_release(routes.prod.release).agent.spec,
        began=began(canary),
        now=stamp(at),
    )
    return stored_analysis(workspace.database, agent, routes.canary.release, routes.prod.release, comparison)


def _in_force_since(workspace: Workspace, routes: AgentRoutes, since: str, at: datetime) -> datetime:
    """When the step began to be met: a proposal's commit says when it was made, and it is in force once merged."""
    made = moment_of(since) or at
    if routes.commit is None:
        return made
    try:
        landed = moment_of(workspace.repository.landed_at(routes.commit, workspace.base_head()))
    except NotFound:  # the table is ahead of what was fetched
        return made
    return max(made, landed or made)


def _waiting_since(workspace: Workspace, agent: str, since: datetime) -> datetime:
    """From when the step's deadline counts: its beginning, or the newest lifting of a hold since then."""
    path = stages_path(agent)
    for commit in workspace.repository.commits(path, None, workspace.base_head()):
        made = moment_of(commit.time)
        if made is None or made < since:
            break
        move = Move.of(commit, agent)
        if move is not None and move.action == "unhold":
            return made
    return since

"""Automatic moves: what the pipeline lets go on without a person, once its gates have passed."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import semver

from penstock.contracts.policy import Stage
from penstock.contracts.stages import StagesSpec
from penstock.errors import PenstockError, Unavailable
from penstock.gates.context import STAGES, Progress
from penstock.gates.stage import run_stage
from penstock.registry.resolve import resolve
from penstock.release import lifecycle
from penstock.release.apply import apply_plan
from penstock.release.condition import WAITING
from penstock.release.entries import store_release
from penstock.release.plan import Plan, plan
from penstock.release.situation import read_situation, released_context, require_pipeline
from penstock.release.stages_file import read_stages, stages_path
from penstock.release.workspace import Workspace


@dataclass(frozen=True, slots=True)
class AutomaticMove:
    """One version that the pipeline would move by itself; `why` is empty once it was moved.

    `failed` says that the environment kept it, so that a retry may move it.
    """

    agent: str
    version: str
    stage: Stage
    why: str = ""
    failed: bool = False

    @property
    def moved(self) -> bool:
        """Whether it stands there now."""
        return not self.why

    def as_document(self) -> dict[str, object]:
        """The move as a JSON object."""
        return {**asdict(self), "moved": self.moved}


def move_automatically(
    workspace: Workspace, agents: list[str] | None = None, progress: Progress | None = None
) -> list[AutomaticMove]:
    """Moves what may move, agent by agent (None: all), and says of the rest why not. Gates run where they must."""
    moves = []
    for agent in agents if agents is not None else workspace.registry(workspace.base_head()).agents():
        for version, stage in _candidates(workspace, agent):
            try:
                why, failed = move_one(workspace, agent, version, stage, progress), False
            except PenstockError as error:
                faults = [str(fault) for fault in getattr(error, "faults", ())]
                why, failed = "; ".join([error.what, *faults]), isinstance(error, Unavailable)
            moves.append(AutomaticMove(agent, version, stage, why, failed))
    return moves


def candidates(workspace: Workspace, agent: str, head: str) -> list[tuple[str, Stage]]:
    """The versions of an agent that the pipeline would move by itself, each with the stage that it would go to."""
    registry = workspace.registry(head)
    stages = require_pipeline(registry).spec.stages
    path = stages_path(agent)
    spec = read_stages(workspace.repository.read(head, path), path)
    found: list[tuple[str, Stage]] = []
    if stages.dev.automatic:
        found += [(version, "dev") for version in pending_versions(registry.versions(agent), spec)]
    if stages.canary.automatic:
        found += [(version, "canary") for version in _next_canary(spec)]
    if stages.prod.automatic and spec.canary is not None:
        found.append((spec.canary.version, "prod"))
    return found


def pending_versions(versions: list[str], spec: StagesSpec) -> list[str]:
    """The versions on the base branch that stand nowhere."""
    placed = lifecycle.places(spec)
    return [version for version in versions if version not in placed]


def move_one(workspace: Workspace, agent: str, version: str, stage: Stage, progress: Progress | None = None) -> str:
    """Runs what gates must run, then moves the version; returns one sentence why not, empty once it was moved."""
    planned = measured_plan(workspace, agent, version, stage, progress)
    if not planned.ready:
        return "; ".join(one.sentence for one in planned.unmet)
    applied = apply_plan(workspace, planned, workspace.settings.bot_email)
    return f"it waits to be merged: {applied.proposal.url}" if applied.proposal is not None else ""


def measured_plan(
    workspace: Workspace, agent: str, version: str, stage: Stage, progress: Progress | None = None
) -> Plan:
    """The plan at the head as last fetched, its gates run first if nothing else stands in the way."""
    head = workspace.base_head()
    registry = workspace.registry(head)
    resolved = resolve(registry, agent, version)
    store_release(workspace, resolved)
    planned = plan(read_situation(workspace, agent, version, stage, head))
    if {one.kind for one in planned.unmet} - WAITING or not planned.unmet:
        return planned
    table = workspace.releases.newest_table()
    routes = table.agents.get(agent) if table is not None else None
    context = released_context(workspace, registry, resolved, routes, progress)
    run_stage(context, planned.situation.pipeline, stage)
    return plan(read_situation(workspace, agent, version, stage, head))


def _candidates(workspace: Workspace, agent: str) -> Iterator[tuple[str, Stage]]:
    """Each candidate once, looked for anew after each move: what went to dev may go on to canary."""
    seen: set[tuple[str, Stage]] = set()
    while True:
        fresh = [one for one in candidates(workspace, agent, workspace.base_head()) if one not in seen]
        if not fresh:
            return
        chosen = min(fresh, key=lambda one: (STAGES.index(one[1]), semver.Version.parse(one[0])))
        seen.add(chosen)
        yield chosen


def _next_canary(spec: StagesSpec) -> list[str]:
    """The newest version in dev, if it is newer than what stands in canary and prod."""
    ahead = [one.version for one in (spec.canary, spec.prod) if one is not None]
    newest = max((one.version for one in spec.dev), key=semver.Version.parse, default=None)
    if newest is None or any(semver.Version.parse(newest) <= semver.Version.parse(one) for one in ahead):
        return []
    return [newest]

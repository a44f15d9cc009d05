"""The sensor that follows the base branch: with `driver = dagster` it drives, with `driver = ci` it shows.

It launches only what may go on; no run ever waits for a person.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from penstock.contracts.canonical import digest
from penstock.contracts.gate_result import GateResult
from penstock.contracts.policy import Stage
from penstock.contracts.routing_table import RoutingTable
from penstock.errors import PenstockError
from penstock.gates.context import STAGES
from penstock.orchestration.attempts import AGAIN_AFTER_S, INPUTS_TAG, attempt_of
from penstock.orchestration.jobs import JOBS, RELEASE_JOBS
from penstock.orchestration.partitions import RELEASES, partition_key
from penstock.orchestration.release_path import ReleasePath
from penstock.orchestration.route_assets import REQUEST_TAG, entries_at
from penstock.release.apply import lifted_kinds
from penstock.release.automatic import candidates
from penstock.release.condition import OVERRIDABLE, WAITING, Kind
from penstock.release.notify import notify_changes
from penstock.release.plan import Plan, plan
from penstock.release.reconcile import reconcile
from penstock.release.situation import read_situation
from penstock.release.workspace import Workspace

TOLD_WITHIN_S, TOLD_AGAIN_S = 3.0, 30.0
"""How long a tick tells the project's endpoint what changed, and the pause after one that was away, seconds."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A run to launch: `measures_only` leaves the route out, because a person's approval is still to come.

    `inputs` names all that the launch looked at: while it stays the same there is nothing new to find.
    """

    agent: str
    version: str
    stage: Stage
    inputs: str
    request: str = ""
    measures_only: bool = False

    @property
    def key(self) -> str:
        """The partition."""
        return partition_key(self.agent, self.version)

    def run_request(self, attempt: int) -> dg.RunRequest:
        """The launch in Dagster's form; a run key that was ever launched is never launched again."""
        tags = {"penstock/agent": self.agent, "penstock/version": self.version, INPUTS_TAG: self.inputs}
        if self.request:
            tags[REQUEST_TAG] = self.request.removeprefix("sha256:")
        chosen = [dg.AssetKey("release"), dg.AssetKey(f"{self.stage}_evidence")]
        return dg.RunRequest(
            run_key=f"{self.key}#{self.stage}#{self.inputs}#{attempt}",
            partition_key=self.key,
            job_name=JOBS[self.stage],
            asset_selection=chosen if self.measures_only else [*chosen, dg.AssetKey(f"{self.stage}_route")],
            tags=tags,
        )


@dg.sensor(
    name="base_branch",
    jobs=RELEASE_JOBS,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def base_branch(context: dg.SensorEvaluationContext, path: ReleasePath) -> dg.SensorResult | dg.SkipReason:
    """Follows new commits of the base branch, requests, approvals and runs."""
    try:
        with path.workspace() as workspace:
            is_driver = workspace.settings.driver == "dagster"
            launches = list(driven(workspace) if is_driver else shown(workspace))
            if is_driver:
                notify_changes(workspace, within_s=TOLD_WITHIN_S, pause_s=TOLD_AGAIN_S)
    except PenstockError as error:
        return dg.SkipReason(str(error))
    known = set(context.instance.get_dynamic_partitions("release"))
    fresh = [key for key in dict.fromkeys(one.key for one in launches) if key not in known]
    return dg.SensorResult(
        run_requests=[one.run_request(attempt_of(context.instance, one.inputs)) for one in launches],
        dynamic_partitions_requests=[RELEASES.build_add_request(fresh)] if fresh else [],
    )


def driven(workspace: Workspace) -> Iterator[Launch]:
    """What the driver does next: it begins with `reconcile`, then automatic moves, then what people asked for."""
    reconcile(workspace, moves=False)
    head = workspace.base_head()
    lifted = lifted_kinds(workspace, override=False)
    for agent in workspace.registry(head).agents():
        for version, stage in candidates(workspace, agent, head):
            planned = plan(read_situation(workspace, agent, version, stage, head))
            yield from _launch(planned, lifted=lifted)
    for request in workspace.records.open_requests():
        planned = plan(read_situation(workspace, request.agent, request.version, request.stage, head))
        of_request = OVERRIDABLE if request.parameters.get("override") else lifted
        yield from _launch(planned, request.digest, lifted=of_request)


def shown(workspace: Workspace) -> Iterator[Launch]:
    """What the driver outside Dagster has done: every standing of the table in force, once."""
    table = workspace.releases.newest_table()
    if table is None:
        return
    for agent, version, stage, entry in standings(table):
        yield Launch(agent, version, stage, f"{entry[7:19]}.{(table.agents[agent].commit or '')[:12]}")


def standings(table: RoutingTable) -> Iterator[tuple[str, str, Stage, str]]:
    """Agent, version, stage and release of all that stands in dev, canary and prod."""
    for agent, routes in sorted(table.agents.items()):
        for stage in STAGES:
            for entry in entries_at(routes, stage):
                yield agent, entry.version, stage, entry.release


def _launch(planned: Plan, request: str = "", *, lifted: frozenset[Kind] = frozenset()) -> Iterator[Launch]:
    """The run that brings this plan on: it is ready, its request is to be refused, or a gate is still to be asked.

    Conditions of kinds that are `lifted` need not be met: an override's, or what a merge request waits for.
    """
    of = planned.situation
    hopeless = any(one.kind not in WAITING for one in planned.unmet)
    routes = not planned.blocking(lifted) or (bool(request) and hopeless)
    if not routes and (hopeless or not _asks_a_gate(planned)):
        return
    results = [result.id for result in of.view.results] if of.view is not None else []
    decisions = sorted(approval.digest for approval in of.decisions)
    unmet = [one.sentence for one in planned.unmet] if hopeless else []
    inputs = digest([of.release.digest if of.release else None, of.stage, results, decisions, unmet, request, routes])
    yield Launch(of.agent, of.version, of.stage, inputs[7:19], request, measures_only=not routes)


def _asks_a_gate(planned: Plan) -> bool:
    """Whether a gate has not been asked yet, or found too little, or broke, some time ago."""
    view = planned.situation.view
    return view is not None and any(gate.result is None or _is_old(gate.result) for gate in view.gates)


def _is_old(result: GateResult) -> bool:
    finished = datetime.fromisoformat(result.finished_at)
    undecided = result.outcome in {"errored", "inconclusive"}
    return undecided and (datetime.now(UTC) - finished).total_seconds() > AGAIN_AFTER_S

"""Canaries in Dagster: a sensor that sees what is due, and a job that does it for one agent."""

from dataclasses import dataclass

import dagster as dg

from penstock.contracts.canonical import digest
from penstock.errors import PenstockError
from penstock.orchestration.attempts import INPUTS_TAG, attempt_of
from penstock.orchestration.release_path import ReleasePath, failing
from penstock.orchestration.route_assets import BOARD, board, standing
from penstock.release.canary import Ticked, tick

JOB = "canary_step"
EVERY_S = 10
AGENT_TAG = "penstock/agent"
NOT_DONE = frozenset({"waiting", "errored"})
DUE = frozenset({"would advance", "would abort", "would hold"})


@dg.op(
    name="take_step",
    pool="routes",
    description="Takes one agent's canary a step on, holds it, or rolls it back, as its live sessions say now.",
)
def take_step(context: dg.OpExecutionContext, path: ReleasePath) -> None:
    """Looks anew: what was due when the run was launched may be no more."""
    agent = context.run.tags[AGENT_TAG]
    with failing(), path.workspace() as workspace:
        workspace.fetch()
        done = tick(workspace, [agent])
        table = workspace.releases.newest_table()
    for one in done:
        context.log.info(f"{one.agent}@{one.version}: {one.did}: {one.why}")
        if one.did in NOT_DONE:  # what was due is no more, or not yet: a failed run is tried again
            raise dg.Failure(f"{one.agent}: {one.did}: {one.why}")
    if table is not None:
        metadata = {**standing(table, agent, "canary"), **_said(done)}
        context.log_event(dg.AssetMaterialization(["env", "canary", agent], metadata=metadata))
        context.log_event(dg.AssetMaterialization(BOARD, metadata=board(table)))


@dg.job(name=JOB, description="One tick of one agent's canary.")
def canary_step() -> None:
    """One op."""
    take_step()


@dataclass(frozen=True, slots=True)
class Due:
    """What a look found due for one agent's canary; `inputs` names the step and what is to be done."""

    agent: str
    inputs: str

    def run_request(self, attempt: int) -> dg.RunRequest:
        """The run in Dagster's form."""
        tags = {AGENT_TAG: self.agent, INPUTS_TAG: self.inputs}
        return dg.RunRequest(run_key=f"canary#{self.agent}#{self.inputs}#{attempt}", job_name=JOB, tags=tags)


@dg.sensor(
    name="canaries",
    job_name=JOB,
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def canaries(context: dg.SensorEvaluationContext, path: ReleasePath) -> dg.SensorResult | dg.SkipReason:
    """Looks at every canary; with `driver = ci` somebody else moves them."""
    try:
        with path.workspace() as workspace:
            if workspace.settings.driver != "dagster":
                return dg.SkipReason("driver = ci: `agentctl canary tick` moves canaries")
            if workspace.releases.newest_table() is None:
                return dg.SkipReason("there is no routing table yet")
            found = due(tick(workspace, dry=True))
    except PenstockError as error:
        return dg.SkipReason(str(error))
    return dg.SensorResult(run_requests=[one.run_request(attempt_of(context.instance, one.inputs)) for one in found])


def due(looked: list[Ticked]) -> list[Due]:
    """The runs to launch: one for each canary that something is to be done about."""
    found = []
    for one in looked:
        if one.did in DUE and one.rollout is not None:
            about = [one.agent, one.version, one.did, one.rollout.number, one.rollout.waiting_since.isoformat()]
            found.append(Due(one.agent, digest(about)[7:19]))
    return found


def _said(done: list[Ticked]) -> dict[str, object]:
    return {key: value for one in done for key, value in (("tick", one.did), ("why", one.why))}

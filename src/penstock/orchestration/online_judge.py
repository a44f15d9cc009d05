"""Online scores in Dagster: a sensor that sees what is waiting, and a job that scores it. No release is moved."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from penstock.errors import PenstockError
from penstock.orchestration.release_path import ReleasePath, failing
from penstock.release.online_judge import due_scores, judge_online, online_suites
from penstock.release.workspace import Workspace
from penstock.scoring.online import OnlinePass

LOOK_BACK = timedelta(days=7)
LEAST_COVERAGE = 0.99
JOB = "online_judge"
UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dg.asset(
    name="online_scores",
    group_name="live_quality",
    description="What the suites' online scorers made of live runs.",
    kinds={"penstock"},
    check_specs=[dg.AssetCheckSpec("coverage", asset="online_scores", description="99 % of chosen runs are scored.")],
)
def online_scores(path: ReleasePath) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """One pass over all agents whose suites say `online`."""
    with failing(), path.workspace() as workspace:
        done = _pass(workspace)
    shares = [one.share for agent in done for one in agent.coverage if one.share is not None]
    return dg.MaterializeResult(
        metadata=metadata(done),
        check_results=[
            dg.AssetCheckResult(
                check_name="coverage",
                passed=all(share >= LEAST_COVERAGE for share in shares),
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"least": min(shares, default=1.0)},
            )
        ],
    )


online_job = dg.define_asset_job(JOB, selection=["online_scores"], description="Scores live runs that are waiting.")


@dg.sensor(
    name="live_runs",
    job=online_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def live_runs(context: dg.SensorEvaluationContext, path: ReleasePath) -> dg.RunRequest | dg.SkipReason:
    """Launches the job when a score could be made, one run at a time."""
    try:
        with path.workspace() as workspace:
            suites = online_suites(workspace.registry(workspace.base_head()))
            due = sum(due_scores(workspace.settings, suites, _since()).values())
    except PenstockError as error:
        return dg.SkipReason(str(error))
    if not due:
        return dg.SkipReason("no suite says `online`" if not suites else "nothing is waiting")
    if context.instance.get_runs(dg.RunsFilter(job_name=JOB, statuses=UNDER_WAY), limit=1):
        return dg.SkipReason(f"{due} scores are waiting, and a run is under way")
    return dg.RunRequest(tags={"penstock/due": str(due)})


def metadata(done: Sequence[OnlinePass]) -> dict[str, dg.MetadataValue[Any]]:
    """What a pass did, as figures that Dagster plots and a table of the agents."""
    rows = [_row(agent) for agent in done]
    head = "| agent | scored | failed | waiting | USD | USD today | left for later |\n|---|---|---|---|---|---|---|\n"
    return {
        "scored": dg.MetadataValue.int(sum(one.scored for one in done)),
        "failed": dg.MetadataValue.int(sum(one.failed for one in done)),
        "backlog": dg.MetadataValue.int(sum(one.backlog for one in done)),
        "costUsd": dg.MetadataValue.float(sum(one.cost_usd for one in done)),
        "agents": dg.MetadataValue.md(head + "\n".join(rows)),
        "problems": dg.MetadataValue.json([problem for one in done for problem in one.problems]),
    }


def _pass(workspace: Workspace) -> list[OnlinePass]:
    registry = workspace.registry(workspace.base_head())
    suites = online_suites(registry)
    return asyncio.run(judge_online(workspace.settings, registry, suites, _since()))


def _row(one: OnlinePass) -> str:
    figures = f"{one.scored} | {one.failed} | {one.backlog} | {one.cost_usd:.4f} | {one.spent_today_usd:.4f}"
    return f"| {one.agent} | {figures} | {one.stopped or ''} |"


def _since() -> str:
    return (datetime.now(UTC) - LOOK_BACK).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

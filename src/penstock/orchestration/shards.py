"""An evaluation in shards: cases measured by several processes into one store, and the gate's own verdict on them.

In one process by default; on Celery's workers, through Dagster's own executor for it, where the settings name a broker.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from penstock.contracts.pipeline import GateUse
from penstock.gates.eval import compared_with
from penstock.gates.evidence import gates_before
from penstock.gates.gate import run_gate
from penstock.gates.measuring import measure_shard
from penstock.orchestration.pools import EVALS
from penstock.orchestration.release_path import ReleasePath, failing
from penstock.registry.documents import Registry
from penstock.release.situation import context_at_head, require_pipeline
from penstock.scoring.shard import Shard
from penstock.settings import Settings

JOB = "eval_shards"


class ShardedRelease(dg.Config):
    """The version to be evaluated, and in how many parts."""

    agent: str
    version: str
    shards: int = 8


@dg.op(out=dg.DynamicOut(), description="Cuts the suite's cases into parts.")
def plan_shards(config: ShardedRelease) -> Iterator[dg.DynamicOutput[Any]]:
    """One output a shard."""
    for index in range(config.shards):
        shard = {"agent": config.agent, "version": config.version, "index": index, "of": config.shards}
        yield dg.DynamicOutput(shard, mapping_key=str(index))


@dg.op(pool=EVALS, description="Measures one part, release and production side by side, into the shared store.")
def run_shard(context: dg.OpExecutionContext, path: ReleasePath, shard: dict[str, Any]) -> dict[str, Any]:
    """How many trials of the part were made and found; what is missing is the verdict's to say."""
    with failing(), path.workspace() as workspace:
        gating = context_at_head(workspace, shard["agent"], shard["version"])
        spec = gating.registry.evals[shard["agent"]].spec
        part = Shard(shard["index"], shard["of"])
        evaluation = measure_shard(gating, spec, compared_with(gating), part)
    sides = evaluation.sides.values()
    figures = {
        "cases": len(evaluation.seen),
        "made": sum(side.measured.made for side in sides),
        "reused": sum(side.measured.reused for side in sides),
        "problems": sum(len(side.measured.problems) for side in sides),
        "costUsd": evaluation.cost_usd,
    }
    context.add_output_metadata(figures)
    return figures


@dg.op(description="The gate itself, which finds every trial and score that the shards made.")
def shards_verdict(
    context: dg.OpExecutionContext, config: ShardedRelease, path: ReleasePath, parts: list[dict[str, Any]]
) -> dict[str, Any]:
    """The gate's result; with `driver = dagster` it is kept and counts."""
    with failing(), path.workspace() as workspace:
        gating = context_at_head(workspace, config.agent, config.version)
        result = run_gate(gating, eval_use(gating.registry))
        if workspace.settings.driver == "dagster":
            workspace.records.put_result(result)
    made = sum(part["made"] for part in parts)
    context.add_output_metadata({"why": f"{result.outcome}: {result.reason}", "made by shards": made})
    return result.as_document()


def eval_use(registry: Registry) -> GateUse:
    """The gate as the pipeline uses it first, or with its defaults."""
    uses = [use for _, use in gates_before(require_pipeline(registry), "prod") if use.gate == "eval"]
    return uses[0] if uses else GateUse.model_validate({"gate": "eval"})


def eval_shards(settings: Settings) -> dg.JobDefinition:
    """The job, on the executor that the settings ask for; raises `Unavailable` without the extra `celery`."""
    if settings.celery_broker:
        from penstock.orchestration.celery_app import shard_executor

        executor: dg.ExecutorDefinition = shard_executor(settings)
    else:
        executor = dg.in_process_executor

    @dg.job(name=JOB, executor_def=executor, description="The eval suite of one version, measured in shards.")
    def sharded() -> None:
        shards_verdict(plan_shards().map(run_shard).collect())

    return sharded

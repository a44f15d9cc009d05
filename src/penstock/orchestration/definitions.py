"""The Dagster definitions of one project, built from its own files; nothing is read at import."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from penstock.contracts.policy import Stage
from penstock.gates.context import STAGES
from penstock.orchestration.canaries import canaries, canary_step
from penstock.orchestration.dataset_checks import dataset_asset, dataset_job, datasets
from penstock.orchestration.evidence_assets import evidence_asset, release
from penstock.orchestration.jobs import RELEASE_JOBS
from penstock.orchestration.online_judge import live_runs, online_job, online_scores
from penstock.orchestration.pools import EVALS
from penstock.orchestration.release_path import ReleasePath
from penstock.orchestration.route_assets import BOARD, route_asset
from penstock.orchestration.sensors import base_branch
from penstock.orchestration.shards import eval_shards
from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.release.situation import require_pipeline
from penstock.settings import load_settings

MEASURING = frozenset({"eval", "diff", "shadow"})
"""Gates that make runs of their own, as a shard does."""


def build_definitions(start: Path | None = None) -> dg.Definitions:
    """Assets, checks, jobs and the sensor of the project at or above `start` (default: the current folder).

    Only gates that `pipelines/release.yaml` names are checks: after a change of that file the location is reloaded.
    """
    settings = load_settings(start)
    registry = load_registry(TreeSource(settings.root))
    stages = require_pipeline(registry).spec.stages
    gates = {stage: [use.gate for use in getattr(stages, stage).gates] for stage in STAGES}
    return dg.Definitions(
        assets=[
            release,
            online_scores,
            dataset_asset(),
            *(evidence_asset(stage, gates[stage], pool_of(gates, stage)) for stage in STAGES),
            *(route_asset(stage) for stage in STAGES),
            *environments(registry.agents()),
        ],
        jobs=[*RELEASE_JOBS, canary_step, online_job, dataset_job, eval_shards(settings)],
        sensors=[base_branch, canaries, live_runs, datasets],
        resources={"path": ReleasePath(root=str(settings.root))},
        executor=dg.in_process_executor,
    )


def pool_of(gates: Mapping[Stage, Sequence[str]], stage: Stage) -> str | None:
    """The pool of the evidence before `stage`: that of evaluations where a gate up to there makes runs."""
    asked = {gate for before in STAGES[: STAGES.index(stage) + 1] for gate in gates[before]}
    return EVALS if asked & MEASURING else None


@dg.definitions
def defs() -> dg.Definitions:
    """The project around the current folder, for `dagster -m penstock.orchestration.definitions`."""
    return build_definitions()


def environments(agents: list[str]) -> list[dg.AssetSpec]:
    """What each environment serves, as assets that Penstock moves and Dagster watches; and the board of all."""
    specs: list[Any] = [
        dg.AssetSpec(
            ["env", stage, agent],
            group_name=f"environments/{stage}",
            description=f"The version of {agent} that {stage} serves; its events are the deployment history.",
            kinds={"penstock"},
        )
        for stage in STAGES
        for agent in agents
    ]
    return [*specs, dg.AssetSpec(BOARD, group_name="release_path", description="Who stands where, all agents.")]

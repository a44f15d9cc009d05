"""Gate `canary-runs`: enough live runs of the canary, and none of the agent's promises broken by them."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from penstock.contracts.agent import Slo
from penstock.contracts.routing_table import CanaryEntry
from penstock.errors import Unavailable
from penstock.gates.context import GateContext, LiveRun
from penstock.gates.gate import Finding, gate

# A run that its caller cancelled, or that never started (limit, policy, invalid input), says nothing of the release.
NEUTRAL = frozenset({"cancelled", "rejected"})


def _canary(context: GateContext) -> CanaryEntry | None:
    """The canary in force, if it is this release."""
    canary = context.routes.canary if context.routes is not None else None
    return canary if canary is not None and canary.release == context.release.digest else None


def _window(context: GateContext) -> Mapping[str, Any]:
    canary = _canary(context)
    return {"window": {"stage": "canary", "since": canary.since if canary is not None else None}}


@gate("canary-runs", revision=1, reads=_window, reuse=frozenset({"passed"}))
def canary_runs(context: GateContext, *, min_runs: Annotated[int, Field(ge=1, le=1_000_000)] = 30) -> Finding:
    """Judges the stored live runs of stage canary since the canary began, once there are `min_runs` of them.

    A draft has none: skipped. Fewer: inconclusive. Enough: failed when the share of runs that finished is below
    slo.successRate, the 95th percentile of their duration (nearest rank) above slo.p95Ms, or their mean cost above
    slo.costPerRunUsd, as far as the agent declares them. Cancelled and rejected runs are neutral: neither counted nor
    judged.
    """
    if context.origin == "draft":
        return Finding("skipped", "a draft has no live runs")
    canary = _canary(context)
    if canary is None:
        return Finding(
            "inconclusive", f"0 of {min_runs} live runs: this release is not the canary", {"runs": 0}, _limits(context)
        )
    if context.runs is None:
        raise Unavailable("live runs cannot be counted without the database", now="give PENSTOCK_DATABASE_URL")
    runs = context.runs.live_runs(context.agent, context.release.digest, "canary", canary.since)
    judged = [run for run in runs if run.status not in NEUTRAL]
    measured: dict[str, Any] = {"runs": len(judged), "neutral": len(runs) - len(judged), "since": canary.since}
    limit = {"minRuns": min_runs, **_limits(context)}
    if len(judged) < min_runs:
        return Finding("inconclusive", f"{len(judged)} of {min_runs} live runs since {canary.since}", measured, limit)
    return _judge(context.release.agent.spec.slo, judged, measured, limit)


def _limits(context: GateContext) -> dict[str, Any]:
    slo = context.release.agent.spec.slo
    declared = {"successRate": slo.success_rate, "p95Ms": slo.p95_ms, "costPerRunUsd": slo.cost_per_run_usd}
    return {name: value for name, value in declared.items() if value is not None}


def _judge(slo: Slo, runs: Sequence[LiveRun], measured: dict[str, Any], limit: dict[str, Any]) -> Finding:
    finished = sum(run.status == "finished" for run in runs)
    measured["successRate"] = finished / len(runs)
    broken = []
    if measured["successRate"] < slo.success_rate:
        broken.append(f"{finished} of {len(runs)} runs finished, less than {slo.success_rate:.2%}")
    if slo.p95_ms is not None:
        measured["p95Ms"] = _p95(runs)
        if measured["p95Ms"] > slo.p95_ms:
            broken.append(f"p95 is {measured['p95Ms']:.0f} ms, more than {slo.p95_ms}")
    if slo.cost_per_run_usd is not None:
        measured["costPerRunUsd"] = _mean_cost(runs)
        if measured["costPerRunUsd"] > slo.cost_per_run_usd:
            broken.append(f"a run costs {measured['costPerRunUsd']:.4g} USD, more than {slo.cost_per_run_usd:.4g}")
    if broken:
        return Finding("failed", "; ".join(broken), measured, limit)
    return Finding("passed", f"{finished} of {len(runs)} live runs finished, within the SLO", measured, limit)


def _p95(runs: Sequence[LiveRun]) -> float:
    durations = sorted(run.duration_ms for run in runs if run.duration_ms is not None)
    if len(durations) < len(runs):
        raise Unavailable(f"{len(runs) - len(durations)} of {len(runs)} live runs have no duration")
    return durations[math.ceil(0.95 * len(durations)) - 1]


def _mean_cost(runs: Sequence[LiveRun]) -> float:
    costs = [run.cost_usd for run in runs if run.cost_usd is not None]
    if len(costs) < len(runs):
        raise Unavailable(
            f"the cost of {len(runs) - len(costs)} of {len(runs)} live runs is not known",
            now="give the model a price: slo.costPerRunUsd cannot be judged without one",
        )
    return math.fsum(costs) / len(costs)

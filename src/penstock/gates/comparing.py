"""What the gates that compare behaviour share: who is compared, on which cases, and what is no verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from penstock.contracts.release import Release
from penstock.engine.runtimes import own_runtime, usable_runtimes
from penstock.errors import NotFound
from penstock.gates.baseline import baseline_runtime
from penstock.gates.context import GateContext
from penstock.gates.gate import Finding
from penstock.scoring.case_set import CaseSet, suite_cases

if TYPE_CHECKING:
    from penstock.scoring.diff.measurement import Comparison
    from penstock.scoring.evaluation import Contender


def suite_path(agent: str) -> str:
    """Where an agent's eval suite stands."""
    return f"evals/{agent}.yaml"


def without_suite(context: GateContext) -> Finding:
    """Why there is no eval suite to take cases from: nobody wrote one, or it has faults."""
    path = suite_path(context.agent)
    faults = [str(fault) for fault in context.registry.faults if fault.path == path]
    if faults:
        return Finding("failed", f"the eval suite is broken: {faults[0]}", artifacts={"faults": faults})
    return Finding("failed", f"there is no eval suite: write {path}")


def comparison_reads(context: GateContext) -> dict[str, Any]:
    """What is compared: suite and cases, both runtimes, and what prod serves."""
    registry, baseline = context.registry, context.baseline
    suite = registry.evals.get(context.agent)
    return {
        "suite": registry.file_digest(suite_path(context.agent)),
        "dataset": suite_cases(registry, suite.spec).digest if suite is not None else None,
        "baseline": baseline.digest if baseline is not None else None,
        "runtimes": {
            "usable": usable_runtimes(registry, context.release),
            "candidate": own_runtime(context.release, context.settings.default_runtime),
            "baseline": baseline_runtime(context, baseline) if baseline is not None else None,
        },
    }


def sides(context: GateContext, runtime: str | None) -> "tuple[Contender, Contender]":
    """Candidate and baseline, the candidate on `runtime` if one is named. Only for a context with a baseline."""
    from penstock.gates.measuring import contenders

    candidate, baseline = contenders(context, served(context))
    assert baseline is not None  # there is one where something is served
    return (candidate if runtime is None else replace(candidate, runtime=runtime)), baseline


def served(context: GateContext) -> Release:
    """What prod serves; raises `NotFound` where it serves nothing."""
    if context.baseline is None:
        raise NotFound("prod serves nothing to compare with", where=context.agent, now="name a version: --against V")
    return context.baseline


def first_cases(cases: CaseSet, count: int | None) -> CaseSet:
    """The first cases of a suite in its settled order; all of them for None."""
    return CaseSet(cases.cases[:count], cases.datasets, cases.available)


def without_verdict(comparison: "Comparison", artifacts: Mapping[str, Any], least: int) -> Finding | None:
    """Why what was measured decides nothing; None if it decides.

    Errored = a run is missing, so what was compared is not what was to be compared. Inconclusive = the budget ended
    it, or there are fewer than `least` pairs.
    """
    measured = {"pairs": len(comparison.pairs), "problems": len(comparison.problems)}
    if comparison.stopped is not None:
        return Finding("inconclusive", comparison.stopped, measured, {"minRuns": least}, artifacts)
    if comparison.problems:
        first = artifacts["problems"][0]
        more = f" (and {len(comparison.problems) - 1} more)" if len(comparison.problems) > 1 else ""
        reason = f"{first['side']} case {first['case']}: {first['what']}{more}"
        return Finding("errored", reason, measured, {"minRuns": least}, artifacts)
    if len(comparison.pairs) < least:
        reason = f"{len(comparison.pairs)} of {least} runs to compare: give the suite more cases, or wait for live runs"
        return Finding("inconclusive", reason, measured, {"minRuns": least}, artifacts)
    return None


def run_document(comparison: "Comparison", cost_usd: float, seconds: float) -> dict[str, Any]:
    """What measuring took, as JSON."""
    return {
        "made": comparison.made,
        "reused": comparison.reused,
        "costUsd": cost_usd,
        "seconds": round(seconds, 3),
        "stopped": comparison.stopped,
    }


def failing_check(checks: Sequence[Mapping[str, Any]]) -> str | None:
    """The sentence of the first dataset that fails its checks."""
    failing = [one for one in checks if not one["passed"]]
    return f"dataset {failing[0]['name']} fails its checks: {failing[0]['why']}" if failing else None

"""Gate `eval`: the agent's eval suite, by its limits and against what prod serves."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from penstock.contracts.canonical import digest
from penstock.contracts.eval_suite import EvalSpec
from penstock.contracts.release import Release
from penstock.engine.runtimes import usable_runtimes
from penstock.errors import Fault, Invalid
from penstock.gates.comparing import suite_path
from penstock.gates.context import GateContext
from penstock.gates.gate import Finding, gate
from penstock.registry.documents import Registry
from penstock.scoring.case_set import suite_cases
from penstock.scoring.suite_faults import suite_faults

if TYPE_CHECKING:  # the engine and the statistics are loaded only by who measures
    from penstock.scoring.evaluation import Evaluation
    from penstock.scoring.verdict import ScorerVerdict


DATASET_CHECKS = 1
"""Goes up with `scoring.datasets.checks.REVISION`, which is not imported for this alone (a test holds them equal)."""


def faults_of_suite(registry: Registry, agent: str) -> list[Fault]:
    """Everything that is wrong with an agent's eval suite; empty where there is none."""
    path, suite = suite_path(agent), registry.evals.get(agent)
    faults = [fault for fault in registry.faults if fault.path == path]
    return faults + (suite_faults(replace(registry, evals={agent: suite})) if suite is not None else [])


def compared_with(context: GateContext) -> Release | None:
    """What prod serves, where that is another release."""
    baseline = context.baseline
    return baseline if baseline is not None and baseline.digest != context.release.digest else None


def _reads(context: GateContext) -> Mapping[str, Any]:
    suite = context.registry.evals.get(context.agent)
    baseline = compared_with(context)
    if suite is None or faults_of_suite(context.registry, context.agent):
        return {"suite": context.registry.file_digest(suite_path(context.agent))}
    from penstock.scoring.suite_digest import scorer_digests  # `validate` asks for this gate's parameters alone

    return {
        "suite": context.registry.file_digest(suite_path(context.agent)),
        "dataset": suite_cases(context.registry, suite.spec).digest,
        "scorers": digest(scorer_digests(context.registry, suite.spec)),
        "baseline": baseline.digest if baseline is not None else None,
        "runtimes": usable_runtimes(context.registry, context.release),
        "datasetChecks": DATASET_CHECKS,
    }


@gate("eval", revision=1, reads=_reads)
def evaluate_release(context: GateContext, *, fresh: Annotated[bool, Field()] = False) -> Finding:
    """Runs the suite's cases through the release and through what prod serves, and judges scorer by scorer.

    Passed = every scorer that asks something is within its limits and not worse than production by more than its
    margin. Without a baseline only the limits judge. Errored = a dataset that fails its checks, a case or a scorer
    without a value, a budget that ran out. `fresh` measures again what the cache has.
    """
    broken = faults_of_suite(context.registry, context.agent)
    if broken:
        listed = [str(fault) for fault in broken]
        return Finding("failed", f"the eval suite is broken: {listed[0]}", artifacts={"faults": listed})
    suite = context.registry.evals.get(context.agent)
    if suite is None:
        return Finding("failed", f"there is no eval suite: write {suite_path(context.agent)}")
    if not any(use.asks for use in suite.spec.scorers):
        return Finding("inconclusive", f"{suite_path(context.agent)} asks nothing: give a scorer a limit or a margin")
    from penstock.gates.dataset_checks import check_datasets

    datasets = check_datasets(context, suite.spec)
    failing = [one for one in datasets if not one["passed"]]
    if failing:
        reason = f"dataset {failing[0]['name']} fails its checks: {failing[0]['why']}"
        return Finding("errored", reason, artifacts={"datasets": datasets})
    return _measured(context, suite.spec, datasets, fresh=fresh)


def _measured(context: GateContext, spec: EvalSpec, datasets: list[dict[str, Any]], *, fresh: bool) -> Finding:
    from penstock.gates.measuring import evaluation_of
    from penstock.scoring.artifacts import evaluation_artifacts
    from penstock.scoring.verdict import judge_evaluation

    evaluation = evaluation_of(context, spec, compared_with(context), fresh=fresh)
    if not evaluation.seen:
        raise Invalid("the suite's datasets hold no case", where=suite_path(context.agent), now="add cases")
    verdicts = judge_evaluation(evaluation)
    return _finding(evaluation, verdicts, evaluation_artifacts(evaluation, verdicts, datasets))


def _finding(evaluation: "Evaluation", verdicts: list["ScorerVerdict"], artifacts: dict[str, Any]) -> Finding:
    from penstock.scoring.verdict import overall

    run = artifacts["run"]
    measured = {
        "cases": run["cases"],
        "trials": run["trials"],
        "problems": len(artifacts["problems"]),
        "costUsd": run["costUsd"],
        "scorers": {one.ready.title: one.mean for one in verdicts if one.mean is not None},
    }
    limit = {scorer["title"]: scorer["limit"] for scorer in artifacts["scorers"] if scorer["outcome"] != "informs"}
    outcome = overall(verdicts)
    if evaluation.stopped and outcome != "errored":
        outcome = "errored"
    return Finding(
        "inconclusive" if outcome == "informs" else outcome,
        _sentence(evaluation, verdicts, outcome, artifacts["problems"]),
        measured,
        limit,
        artifacts,
    )


def _sentence(
    evaluation: "Evaluation", verdicts: list["ScorerVerdict"], outcome: str, problems: list[dict[str, Any]]
) -> str:
    """The one sentence why."""
    if evaluation.stopped:
        return evaluation.stopped
    if outcome == "errored" and problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        first = problems[0]
        return f"{first['side']} case {first['case']}: {first['what']}{more}"
    worst = [one for one in verdicts if one.outcome == outcome]
    if not worst:
        return "nothing that the suite asks could be answered: without production, give a scorer an absolute limit"
    more = f" (and {len(worst) - 1} more)" if len(worst) > 1 and outcome != "passed" else ""
    if outcome != "passed":
        return f"{worst[0].ready.title}: {worst[0].reason}{more}"
    against = evaluation.baseline
    beside = f" and not worse than {against.contender.title}" if against is not None else ""
    return f"{len(worst)} scorers hold on {len(evaluation.seen)} cases{beside}"

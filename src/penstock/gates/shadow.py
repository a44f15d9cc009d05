"""Gate `shadow`: production's own inputs through a release that answers nobody and changes nothing."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from penstock.contracts.eval_suite import DiffRules, EvalBudget, EvalSpec
from penstock.errors import PenstockError, Unavailable
from penstock.gates.comparing import (
    comparison_reads,
    failing_check,
    first_cases,
    run_document,
    served,
    sides,
    without_verdict,
)
from penstock.gates.context import GateContext
from penstock.gates.difference_limits import DifferenceLimits, Rise, Share, difference_figures
from penstock.gates.gate import Finding, gate
from penstock.scoring.case_set import EvalCase, suite_cases

if TYPE_CHECKING:  # the engine and the statistics are loaded only by who measures
    from penstock.scoring.diff.difference import ReleaseDifference
    from penstock.scoring.diff.measurement import Comparison
    from penstock.scoring.evaluation import Contender
    from penstock.scoring.recorded_run import RecordedRuns

MIN_RUNS = 20
MOST_REFUSED = 0.5
"""Share of runs with a refused write beyond which a shadow says nothing, unless the pipeline sets `maxRefusedShare`."""
CONCURRENCY = 16
"""Runs in flight of an agent without an eval suite."""


def _reads(context: GateContext) -> Mapping[str, Any]:
    return {**comparison_reads(context), "window": {"stages": ["canary", "prod"]}}


@gate("shadow", revision=1, reads=_reads, reuse=frozenset({"passed"}), compares=True)
def shadow(
    context: GateContext,
    *,
    sample: Annotated[int, Field(ge=1, le=10_000)] = 50,
    since_hours: Annotated[float, Field(gt=0, le=8_760)] = 168.0,
    min_runs: Annotated[int, Field(ge=1, le=10_000)] = MIN_RUNS,
    budget_usd: Annotated[float, Field(gt=0, le=100_000)] | None = None,
    noise_floor: bool = True,
    max_failed: Share = 0.05,
    max_refused_share: Share | None = None,
    max_changed_share: Share | None = None,
    max_cost_rise: Rise | None = None,
    max_p95_rise: Rise | None = None,
    runtime: str | None = None,
) -> Finding:
    """Runs what users sent to prod's release in the last `since_hours` through it and through the candidate.

    At most `sample` runs, chosen by digest; below `min_runs` of them the suite's cases fill up to `sample`. No tool
    that writes is called: an equal call of the recorded run answers, else the model reads a refusal. Failed = more
    than `max_failed` of the candidate's runs fail where prod's finish, more than `max_refused_share` would have written
    something else, or another declared limit is missed. Inconclusive = fewer than `min_runs` pairs, the budget
    (default: the suite's) ended it, or, without `max_refused_share`, more than half of the runs were refused a write.
    `noise_floor` false saves prod's own runs and compares with the recorded ones.
    A draft gets no production runs unless a person who may read them runs it.
    """
    candidate, baseline = sides(context, runtime)
    if (candidate.release.digest, candidate.runtime) == (baseline.release.digest, baseline.runtime):
        return Finding("passed", f"prod serves this release on {baseline.runtime}: there is nothing to compare")
    inputs = _inputs(context, sample, since_hours, min_runs)
    refusal = failing_check(inputs.checks)
    if refusal is not None:
        return Finding("errored", refusal, artifacts={"datasets": list(inputs.checks)})
    from penstock.gates.own_loop import on_own_loop

    spending = _Spending(inputs.spec, budget_usd, noise_floor)
    compared = on_own_loop(_compare(context, (candidate, baseline), inputs, spending))
    limits = DifferenceLimits(changed_share=max_changed_share, cost_rise=max_cost_rise, p95_rise=max_p95_rise)
    asked = _Asked(limits, min_runs, max_failed, max_refused_share)
    return _finding(inputs, compared, asked, candidate)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What is run: recorded production runs, and cases where those are too few."""

    recorded: "RecordedRuns | None"
    cases: Sequence[EvalCase]
    checks: Sequence[Mapping[str, Any]]
    spec: EvalSpec | None

    @property
    def source(self) -> dict[str, Any]:
        """Where the inputs come from, as JSON."""
        recorded = self.recorded
        return {
            "recorded": len(recorded.runs) if recorded is not None else 0,
            "dataset": len(self.cases),
            "window": recorded.window_document() if recorded is not None else None,
        }


@dataclass(frozen=True, slots=True)
class _Spending:
    """What it may cost: the suite's bounds, unless the pipeline says otherwise."""

    spec: EvalSpec | None
    usd: float | None
    again: bool

    @property
    def budget(self) -> EvalBudget:
        """USD and minutes."""
        budget = self.spec.budget if self.spec is not None else EvalBudget.model_validate({})
        return budget if self.usd is None else budget.model_copy(update={"cost_usd": self.usd})


@dataclass(frozen=True, slots=True)
class _Asked:
    limits: DifferenceLimits
    min_runs: int
    failed: float
    refused: float | None

    @property
    def as_limit(self) -> dict[str, float]:
        """Everything that is asked, under the names of a pipeline file."""
        more = {} if self.refused is None else {"maxRefusedShare": self.refused}
        return {"minRuns": self.min_runs, "maxFailed": self.failed, **more, **self.limits.asked}

    def missed(self, difference: "ReleaseDifference", failed: float, refused: float) -> list[str]:
        """One sentence for each limit that is not held."""
        found = self.limits.missed(difference)
        if failed > self.failed:
            found.insert(0, f"{failed:.1%} of the runs fail where prod's finish, more than {self.failed:.1%}")
        if self.refused is not None and refused > self.refused:
            found.append(f"{refused:.1%} of the runs would write what prod did not, more than {self.refused:.1%}")
        return found


def _inputs(context: GateContext, sample: int, since_hours: float, min_runs: int) -> _Inputs:
    """The recorded runs, and the suite's cases where there are fewer than `min_runs` of them."""
    suite = context.registry.evals.get(context.agent)
    spec = suite.spec if suite is not None else None
    recorded = _recorded(context, sample, since_hours)
    count = len(recorded.runs) if recorded is not None else 0
    if spec is None or count >= min_runs:
        return _Inputs(recorded, (), (), spec)
    from penstock.gates.dataset_checks import check_datasets

    cases = first_cases(suite_cases(context.registry, spec), sample - count).cases
    return _Inputs(recorded, cases, check_datasets(context, spec), spec)


def _recorded(context: GateContext, sample: int, since_hours: float) -> "RecordedRuns | None":
    """A sample of prod's runs; None where the context has none to read."""
    from penstock.scoring.recorded_run import sample_runs
    from penstock.store.runs import RunStore

    if not isinstance(context.runs, RunStore):
        return None
    return sample_runs(context.runs, served(context), hours=since_hours, limit=sample)


async def _compare(
    context: GateContext, contenders: "tuple[Contender, Contender]", inputs: _Inputs, spending: _Spending
) -> "tuple[Comparison, float, float]":
    """The pairs, what they cost (USD) and how long they took (s)."""
    from penstock.scoring.budget import Budget
    from penstock.scoring.rig import open_rig
    from penstock.scoring.shadow import ShadowPlan, run_shadow

    started = time.monotonic()
    spec, bounds = inputs.spec, spending.budget
    budget = Budget(bounds.cost_usd, bounds.minutes)
    plan = ShadowPlan(
        candidate=contenders[0],
        baseline=contenders[1],
        recorded=inputs.recorded.runs if inputs.recorded is not None else (),
        cases=inputs.cases,
        budget=budget,
        concurrency=spec.concurrency if spec is not None else CONCURRENCY,
        pace=spec.pace if spec is not None else {},
        again=spending.again,
    )
    async with open_rig(context.settings, context.registry) as rig:
        comparison = await run_shadow(rig, plan, progress=context.watch)
    return comparison, budget.spent_usd, time.monotonic() - started


def _finding(
    inputs: _Inputs, compared: "tuple[Comparison, float, float]", asked: _Asked, candidate: "Contender"
) -> Finding:
    from penstock.scoring.shadow import newly_failed, refused_share, side_effects

    comparison, cost_usd, seconds = compared
    difference, document = _difference(inputs, comparison)
    artifacts = {
        **document,
        "source": inputs.source,
        "sideEffects": side_effects(comparison.pairs, candidate.release).as_document(),
        "datasets": list(inputs.checks),
        "run": run_document(comparison, cost_usd, seconds),
    }
    open_question = without_verdict(comparison, artifacts, asked.min_runs)
    if open_question is not None:
        return open_question
    failed = len(newly_failed(comparison.pairs)) / len(comparison.pairs)
    refused = refused_share(comparison.pairs) or 0.0
    measured = {**difference_figures(difference), "failedShare": failed, "refusedShare": refused}
    finding = Finding("passed", _sentence(inputs, difference, failed, refused), measured, asked.as_limit, artifacts)
    missed = asked.missed(difference, failed, refused)
    if not missed and asked.refused is None and refused > MOST_REFUSED:
        reason = f"{refused:.1%} of the runs were refused a write that prod did not make: what follows it was not seen"
        return replace(finding, outcome="inconclusive", reason=reason)
    return replace(finding, outcome="failed", reason="; ".join(missed)) if missed else finding


def _difference(inputs: _Inputs, comparison: "Comparison") -> "tuple[ReleaseDifference, dict[str, Any]]":
    """What differs, and that as JSON. Whatever goes wrong is told without a word of what users sent."""
    from penstock.scoring.diff.difference import difference_of
    from penstock.scoring.diff.document import difference_document

    rules = inputs.spec.diff if inputs.spec is not None else DiffRules.model_validate({})
    try:
        difference = difference_of(comparison.pairs, rules)
        return difference, difference_document(difference, comparison.problems)
    except PenstockError:
        raise
    except Exception as error:
        what = f"the runs cannot be compared ({type(error).__name__})"
        raise Unavailable(what, where="shadow", now="this is a fault of Penstock; compare fewer runs") from None


def _sentence(inputs: _Inputs, difference: "ReleaseDifference", failed: float, refused: float) -> str:
    source = inputs.source
    told = f"{source['recorded']} recorded runs and {source['dataset']} cases"
    floor = difference.artifact_floor
    beside = f" (prod's own: {floor.share:.1%})" if floor is not None else ""
    changed = f"{difference.artifacts_changed} of {len(difference.pairs)} outputs changed{beside}"
    return f"{told}: {failed:.1%} fail where prod's finish, {refused:.1%} would write something else, {changed}"

"""Gate `diff`: what a release does otherwise than prod on the suite's cases, within the limits that are declared."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from penstock.contracts.eval_suite import EvalSpec
from penstock.gates.comparing import (
    comparison_reads,
    failing_check,
    first_cases,
    run_document,
    sides,
    without_suite,
    without_verdict,
)
from penstock.gates.context import GateContext
from penstock.gates.difference_limits import DifferenceLimits, Rise, Share, difference_figures
from penstock.gates.gate import Finding, gate
from penstock.scoring.case_set import suite_cases

if TYPE_CHECKING:  # the engine and the statistics are loaded only by who measures
    from penstock.scoring.diff.difference import ReleaseDifference
    from penstock.scoring.diff.measurement import Comparison
    from penstock.scoring.evaluation import Contender

Events = Literal["inform", "recorded"]


def _reads(context: GateContext) -> Mapping[str, Any]:
    return comparison_reads(context)


@gate("diff", revision=1, reads=_reads, compares=True)
def diff(
    context: GateContext,
    *,
    sample: Annotated[int, Field(ge=1, le=1_000_000)] | None = None,
    max_changed_share: Share | None = None,
    max_cost_rise: Rise | None = None,
    max_p95_rise: Rise | None = None,
    max_success_drop: Share | None = None,
    max_events_changed_share: Share | None = None,
    events: Events = "inform",
    runtime: str | None = None,
) -> Finding:
    """Runs the suite's cases (at most `sample`) through the release and through what prod serves, and compares.

    Failed = a declared limit is missed; none declared = it informs and passes. Prod runs each case once more, for the
    noise floor. A limit on event sequences counts only with `events: recorded`, for models that answer the same each
    time, and then prod must agree with itself. `runtime` is the candidate's, if it is not to be its own.
    """
    suite = context.registry.evals.get(context.agent)
    if suite is None:
        return without_suite(context)
    candidate, baseline = sides(context, runtime)
    if (candidate.release.digest, candidate.runtime) == (baseline.release.digest, baseline.runtime):
        return Finding("passed", f"prod serves this release on {baseline.runtime}: there is nothing to compare")
    from penstock.gates.dataset_checks import check_datasets
    from penstock.gates.own_loop import on_own_loop

    datasets = check_datasets(context, suite.spec)
    refusal = failing_check(datasets)
    if refusal is not None:
        return Finding("errored", refusal, artifacts={"datasets": datasets})
    compared = on_own_loop(_compare(context, suite.spec, candidate, baseline, sample))
    asked = _Asked(
        DifferenceLimits(
            changed_share=max_changed_share,
            cost_rise=max_cost_rise,
            p95_rise=max_p95_rise,
            success_drop=max_success_drop,
        ),
        max_events_changed_share,
        events,
    )
    return _finding(suite.spec, compared, asked, {"datasets": datasets, "runtimes": _named(candidate, baseline)})


@dataclass(frozen=True, slots=True)
class _Asked:
    limits: DifferenceLimits
    events_share: float | None
    events: Events

    @property
    def as_limit(self) -> dict[str, float]:
        """Everything that is asked, under the names of a pipeline file."""
        more = {} if self.events_share is None else {"maxEventsChangedShare": self.events_share}
        return {**self.limits.asked, **more}

    def missed(self, difference: "ReleaseDifference") -> list[str]:
        """One sentence for each limit that is not held."""
        found = self.limits.missed(difference)
        share, limit = difference.events_share, self.events_share
        if self.events == "recorded" and limit is not None and share is not None and share > limit:
            found.append(f"{share:.1%} event sequences changed, more than {limit:.1%}")
        return found

    def undecided(self, difference: "ReleaseDifference") -> str | None:
        """Why the event sequences cannot be judged: answers that were to be the same each time are not."""
        floor = difference.events_floor
        if self.events != "recorded" or self.events_share is None or floor is None or floor.share == 0:
            return None
        return f"events: recorded, but prod's own sequences differ in {floor.share:.1%} of {floor.pairs} cases"


async def _compare(
    context: GateContext, spec: EvalSpec, candidate: "Contender", baseline: "Contender", sample: int | None
) -> "tuple[Comparison, float, float]":
    """The pairs, what they cost (USD) and how long they took (s)."""
    from penstock.scoring.budget import Budget
    from penstock.scoring.diff.measurement import Measuring, compare_on_cases
    from penstock.scoring.harness import Bounds
    from penstock.scoring.rig import open_rig

    started = time.monotonic()
    cases = first_cases(suite_cases(context.registry, spec), sample).cases
    budget = Budget(spec.budget.cost_usd, spec.budget.minutes)
    async with open_rig(context.settings, context.registry) as rig:
        bounds = Bounds(spec.repeats, spec.concurrency, spec.pace, budget)
        measuring = Measuring(bounds=bounds, store=rig.store, progress=context.watch)
        new, old = (rig.subject(one.resolved, one.runtime) for one in (candidate, baseline))
        comparison = await compare_on_cases(measuring, new, old, cases, again=True)
    return comparison, budget.spent_usd, time.monotonic() - started


def _finding(
    spec: EvalSpec, compared: "tuple[Comparison, float, float]", asked: _Asked, beside: Mapping[str, Any]
) -> Finding:
    from penstock.scoring.diff.difference import difference_of
    from penstock.scoring.diff.document import difference_document

    comparison, cost_usd, seconds = compared
    difference = difference_of(comparison.pairs, spec.diff)
    artifacts = difference_document(difference, comparison.problems)
    artifacts = {**artifacts, **beside, "run": run_document(comparison, cost_usd, seconds)}
    open_question = without_verdict(comparison, artifacts, 1)
    if open_question is not None:
        return open_question
    measured, limit = difference_figures(difference), asked.as_limit
    missed = asked.missed(difference)
    if missed:
        return Finding("failed", "; ".join(missed), measured, limit, artifacts)
    undecided = asked.undecided(difference)
    if undecided is not None:
        return Finding("inconclusive", undecided, measured, limit, artifacts)
    return Finding("passed", _sentence(difference, limit), measured, limit, artifacts)


def _sentence(difference: "ReleaseDifference", limit: Mapping[str, float]) -> str:
    pairs = len(difference.pairs)
    told = f"{difference.artifacts_changed} of {pairs} outputs and {difference.events_changed} event sequences changed"
    floor = difference.events_floor
    beside = f" (prod's own: {floor.share:.1%})" if floor is not None else ""
    return f"{told}{beside}; {'within its limits' if limit else 'no limit is declared, so it informs'}"


def _named(candidate: "Contender", baseline: "Contender") -> dict[str, str]:
    return {"candidate": candidate.runtime, "baseline": baseline.runtime}

"""Evaluation: a suite's cases through a release and through production's, side by side, and what the scorers saw."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from penstock.contracts.canonical import digest
from penstock.contracts.eval_suite import EvalSpec
from penstock.contracts.release import Release
from penstock.registry.resolve import Resolved
from penstock.scoring.budget import Budget
from penstock.scoring.calibration import Calibration, calibrate
from penstock.scoring.case_set import CaseSet, EvalCase, dataset_digest, read_cases
from penstock.scoring.harness import Bounds, Measured, measure, score_all
from penstock.scoring.progress import Progress
from penstock.scoring.rig import Rig
from penstock.scoring.scorer import ScorerFailed
from penstock.scoring.scorer_set import ReadyScorer
from penstock.scoring.scoring_pass import Scores
from penstock.scoring.subject import Subject
from penstock.store.clock import now

LOOK_EVERY = 25
SettledEarly = Callable[["Evaluation"], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One release to be measured, on the runtime that it has (or would have) in production."""

    resolved: Resolved
    runtime: str

    @property
    def release(self) -> Release:
        """The release."""
        return self.resolved.release

    @property
    def title(self) -> str:
        """agent@version."""
        return f"{self.release.name}@{self.release.version}"


@dataclass(slots=True)
class Side:
    """What was measured of one release."""

    contender: Contender
    measured: Measured
    scores: Scores

    def join(self, other: "Side") -> None:
        """Takes the next cases in."""
        self.measured = self.measured.joined(other.measured)
        self.scores = self.scores.joined(other.scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """What is to be measured; `baseline` None = there is nothing to compare with."""

    spec: EvalSpec
    cases: CaseSet
    scorers: Sequence[ReadyScorer]
    candidate: Contender
    baseline: Contender | None = None


@dataclass(slots=True)
class Evaluation:
    """What was measured. `seen` are the cases that were run: fewer than planned after an early stop."""

    plan: EvaluationPlan
    seen: list[EvalCase]
    candidate: Side
    baseline: Side | None
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    seconds: float = 0.0
    cost_usd: float = 0.0
    stopped_early: bool = False

    @property
    def sides(self) -> dict[str, Side]:
        """The sides by what reports call them."""
        sides = {"candidate": self.candidate}
        return sides if self.baseline is None else {**sides, "baseline": self.baseline}

    @property
    def stopped(self) -> str | None:
        """Why runs or scores were left out (budget, time); None if none was."""
        found = (stop for side in self.sides.values() for stop in (side.measured.stopped, side.scores.stopped))
        return next((stop for stop in found if stop), None)

    def join(self, cases: Sequence[EvalCase], candidate: Side, baseline: Side | None) -> None:
        """Takes the next cases in."""
        self.seen += cases
        self.candidate.join(candidate)
        if self.baseline is not None and baseline is not None:
            self.baseline.join(baseline)


async def evaluate(
    rig: Rig,
    plan: EvaluationPlan,
    *,
    progress: Progress | None = None,
    fresh: bool = False,
    settled: SettledEarly | None = None,
) -> Evaluation:
    """Runs both sides at once, so that both see the same hour and load, each at half of the suite's concurrency.

    What the cache has is not run again unless `fresh`. With the suite's `earlyStop`, `settled` is asked after every
    `LOOK_EVERY` cases. What goes wrong in a case is a problem of that case; raises what ends everything
    (`Unavailable`, a cancel), and then keeps what was measured.
    """
    started = time.monotonic()
    budget = Budget(plan.spec.budget.cost_usd, plan.spec.budget.minutes)
    measuring = _Measuring(rig, plan, budget, progress, fresh)
    evaluation: Evaluation | None = None
    for cases in _looks(plan):
        if evaluation is not None and settled is not None and settled(evaluation):
            evaluation.stopped_early = True
            break
        candidate, baseline = await measuring.both(cases)
        if evaluation is None:
            evaluation = Evaluation(plan, list(cases), candidate, baseline)
        else:
            evaluation.join(cases, candidate, baseline)
    assert evaluation is not None  # there is always a first look
    evaluation.calibrations = await _calibrations(rig, plan)
    evaluation.seconds = time.monotonic() - started
    evaluation.cost_usd = budget.spent_usd
    return evaluation


@dataclass(frozen=True, slots=True)
class _Measuring:
    rig: Rig
    plan: EvaluationPlan
    budget: Budget
    progress: Progress | None
    fresh: bool

    async def both(self, cases: Sequence[EvalCase]) -> tuple[Side, Side | None]:
        """These cases through candidate and baseline; a pairwise scorer looks at both, so scores come after."""
        contenders = [self.plan.candidate, *([self.plan.baseline] if self.plan.baseline is not None else [])]
        bounds = self._bounds(len(contenders))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._measure(one, cases, bounds)) for one in contenders]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        measured = [task.result() for task in tasks]
        if len(measured) == 1:
            return await self._scored(contenders[0], measured[0], cases, None), None
        candidate = await self._scored(contenders[0], measured[0], cases, measured[1])
        return candidate, await self._scored(contenders[1], measured[1], cases, None)

    async def _measure(self, contender: Contender, cases: Sequence[EvalCase], bounds: Bounds) -> Measured:
        subject: Subject = self.rig.subject(contender.resolved, contender.runtime)
        return await measure(subject, cases, bounds, self.rig.store, progress=self.progress, fresh=self.fresh)

    async def _scored(
        self, contender: Contender, measured: Measured, cases: Sequence[EvalCase], against: Measured | None
    ) -> Side:
        scorers = [one for one in self.plan.scorers if against is not None or not one.scorer.is_pairwise]
        scores = await score_all(
            measured,
            cases,
            scorers,
            contender.release,
            self._bounds(1),
            self.rig.store,
            against=against,
            progress=self.progress,
        )
        return Side(contender, measured, scores)

    def _bounds(self, sides: int) -> Bounds:
        spec = self.plan.spec
        return Bounds(spec.repeats, max(1, spec.concurrency // sides), spec.pace, self.budget)


def _looks(plan: EvaluationPlan) -> list[Sequence[EvalCase]]:
    """The cases in the groups after which an early stop is considered: all in one where there is none."""
    cases = plan.cases.cases
    if not plan.spec.early_stop or plan.baseline is None:
        return [cases]
    return [cases[start : start + LOOK_EVERY] for start in range(0, len(cases), LOOK_EVERY)] or [cases]


async def _calibrations(rig: Rig, plan: EvaluationPlan) -> dict[str, Calibration]:
    return {one.title: await _calibrated(rig, one, plan) for one in plan.scorers if one.use.calibration is not None}


async def _calibrated(rig: Rig, ready: ReadyScorer, plan: EvaluationPlan) -> Calibration:
    """How far the judge agrees with people, kept by judge, labels and the candidate's model.

    A calibration that cannot be made says why and breaks nothing else.
    """
    labelled = read_cases(rig.registry, str(ready.use.calibration))
    release = plan.candidate.release
    models = [model.digest for model in release.models]
    key = digest(["calibration", ready.digest, dataset_digest(rig.registry, str(ready.use.calibration)), models])
    known = await asyncio.to_thread(rig.store.find_scores, [key])
    if key in known:
        return Calibration.from_document(known[key])
    try:
        made = await calibrate(ready, labelled, release)
    except ScorerFailed as error:
        return Calibration(statistic="alpha", value=None, lower=None, upper=None, n=0, why=error.what)
    if not made.failed:
        await asyncio.to_thread(rig.store.put_scores, [(key, now(), made.as_document())])
    return made

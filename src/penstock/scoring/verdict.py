"""The verdict of an evaluation: scorer by scorer against its limits and against production."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from penstock.contracts.eval_suite import ScorerUse
from penstock.errors import Invalid
from penstock.scoring.evaluation import Evaluation
from penstock.scoring.reduction import reduce_repeats
from penstock.scoring.scorer_set import ReadyScorer
from penstock.scoring.statistics.decide import Pair, compare, compare_ratio, has_settled
from penstock.scoring.statistics.proportion import wilson_interval

SideName = Literal["candidate", "baseline"]
Outcome = Literal["passed", "failed", "inconclusive", "errored", "informs"]
WORST_FIRST: tuple[Outcome, ...] = ("errored", "failed", "inconclusive", "passed")
ALPHA = 0.05
UNASKED = 1.0  # the bound of a comparison that nobody asked for: what it would judge is left out
JUDGING = frozenset({"margin", "maxRise", "outcome", "reason", "pValue", "minimumDetectableLoss", "early"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerVerdict:
    """What one scorer says of the candidate; `values` and `baseline` are reduced: one value a case."""

    ready: ReadyScorer
    outcome: Outcome
    reason: str
    values: Mapping[str, float]
    baseline: Mapping[str, float]
    labels: Mapping[str, int] = field(default_factory=dict)
    comparison: Mapping[str, Any] | None = None

    @property
    def use(self) -> ScorerUse:
        """What the suite asks of it."""
        return self.ready.use

    @property
    def mean(self) -> float | None:
        """Over all cases; None of labels, and where there is no value."""
        return _mean(self.values)

    @property
    def baseline_mean(self) -> float | None:
        """Over production's cases."""
        return _mean(self.baseline)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The Wilson interval of a share; None of what is not one."""
        values = list(self.values.values())
        if not values or any(value not in (0.0, 1.0) for value in values) or self.ready.kind == "measure":
            return None
        return wilson_interval(int(math.fsum(values)), len(values))


def judge_evaluation(evaluation: Evaluation) -> list[ScorerVerdict]:
    """Each scorer's verdict, in the order of the suite.

    A scorer that asks nothing informs. One that asks is errored where a case has no value, failed below its limits or
    where production is better for certain, inconclusive where neither that nor the margin can be shown.
    """
    return [_judge(evaluation, ready) for ready in evaluation.plan.scorers]


def overall(verdicts: Sequence[ScorerVerdict]) -> Outcome:
    """The worst of those that ask; inconclusive where none asks anything that could be answered."""
    found = {one.outcome for one in verdicts if one.outcome != "informs"}
    return next((outcome for outcome in WORST_FIRST if outcome in found), "inconclusive")


def settled_early(evaluation: Evaluation) -> bool:
    """Whether the always-valid test has decided for every scorer that is compared with production."""
    asked = [one for one in evaluation.plan.scorers if one.use.margin is not None and one.kind != "measure"]
    return bool(asked) and all(_is_decided(one, evaluation) for one in asked)


def pairs_of(ready: ReadyScorer, evaluation: Evaluation) -> list[Pair]:
    """The cases that have a value on both sides, in the order in which they were seen."""
    after, before = case_values(ready, evaluation, "candidate"), case_values(ready, evaluation, "baseline")
    return [
        Pair(unit=one.id, cluster=one.cluster, baseline=before[one.id], candidate=after[one.id])
        for one in evaluation.seen
        if one.id in after and one.id in before
    ]


def case_values(ready: ReadyScorer, evaluation: Evaluation, name: SideName) -> dict[str, float]:
    """One value a case of one side, repeats reduced; a case of which a repeat has no value is missing.

    Production's value of a pairwise scorer is the other half of the candidate's.
    """
    if name == "baseline" and evaluation.baseline is None:
        return {}
    if name == "baseline" and ready.scorer.is_pairwise:
        return {case: 1.0 - value for case, value in case_values(ready, evaluation, "candidate").items()}
    found: dict[str, list[float]] = {}
    for row in evaluation.sides[name].scores.rows:
        if row.title == ready.title and not isinstance(row.score.value, str):
            found.setdefault(row.case, []).append(float(row.score.value))
    repeats = evaluation.plan.spec.repeats
    return {case: reduce_repeats(values, ready.use.reducer) for case, values in found.items() if len(values) == repeats}


def _judge(evaluation: Evaluation, ready: ReadyScorer) -> ScorerVerdict:
    if ready.kind == "label":
        words = Counter(str(row.score.value) for row in evaluation.candidate.scores.rows if row.title == ready.title)
        told = ", ".join(f"{word} {count}" for word, count in words.most_common())
        return ScorerVerdict(ready=ready, outcome="informs", reason=told, values={}, baseline={}, labels=words)
    values, before = case_values(ready, evaluation, "candidate"), case_values(ready, evaluation, "baseline")
    compared = evaluation.baseline is not None
    missing = len(evaluation.seen) - len(values)
    lacking = len(evaluation.seen) - len(before) if compared and ready.use.margin is not None else 0
    comparison, refusal = None, ""
    try:
        comparison = _compared(ready, evaluation)
    except Invalid as error:  # values that cannot be compared are no verdict on the release
        refusal = error.what
    outcome, reason = _outcome(ready.use, values, comparison, (missing, lacking), compared=compared)
    if refusal and ready.use.margin is not None and outcome == "errored":
        reason = refusal
    return ScorerVerdict(
        ready=ready,
        outcome=outcome,
        reason=reason,
        values=values,
        baseline=before,
        comparison=comparison,
    )


def _compared(ready: ReadyScorer, evaluation: Evaluation) -> Mapping[str, Any] | None:
    """The comparison with production as a document; None where there is none to make."""
    if evaluation.baseline is None or not evaluation.seen:
        return None
    pairs = pairs_of(ready, evaluation)
    if not pairs:
        return None
    margin, early = ready.use.margin, evaluation.plan.spec.early_stop
    bound = margin if margin is not None else UNASKED
    if ready.kind == "measure":
        document = compare_ratio(pairs, max_rise=bound, alpha=ALPHA).as_document()
    else:
        document = compare(pairs, margin=bound, alpha=ALPHA, early_stop=early and margin is not None).as_document()
    return document if margin is not None else {name: document[name] for name in document.keys() - JUDGING}


def _outcome(
    use: ScorerUse,
    values: Mapping[str, float],
    comparison: Mapping[str, Any] | None,
    lacking: tuple[int, int],
    *,
    compared: bool,
) -> tuple[Outcome, str]:
    mean = _mean(values)
    if not use.asks:
        return "informs", "asks nothing" if mean is not None else "has no value"
    if lacking[0] or mean is None:
        return "errored", f"{lacking[0]} cases have no value"
    missed = _missed(use, mean)
    if missed:
        return "failed", missed
    if use.margin is not None and compared:
        if lacking[1] or comparison is None:
            return "errored", f"{lacking[1]} cases have no value of production"
        return comparison["outcome"], str(comparison["reason"])
    if (use.at_least, use.at_most) == (None, None):
        return "informs", "there is no production to compare with"
    return "passed", f"mean {mean:.4g} within its limits"


def _missed(use: ScorerUse, mean: float) -> str:
    if use.at_least is not None and mean < use.at_least:
        return f"mean {mean:.4g} is less than {use.at_least:g}"
    if use.at_most is not None and mean > use.at_most:
        return f"mean {mean:.4g} is more than {use.at_most:g}"
    return ""


def _is_decided(ready: ReadyScorer, evaluation: Evaluation) -> bool:
    pairs = pairs_of(ready, evaluation)
    return bool(pairs) and ready.use.margin is not None and has_settled(pairs, margin=ready.use.margin, alpha=ALPHA)


def _mean(values: Mapping[str, float]) -> float | None:
    return math.fsum(values.values()) / len(values) if values else None

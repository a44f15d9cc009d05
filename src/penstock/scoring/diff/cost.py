"""How two releases differ in cost: tokens and USD, and the ratio case by case with its interval."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.scoring.diff.pair import TrialPair
from penstock.scoring.trial import Trial

ALPHA = 0.05
"""Of each of the two bounds."""
FEWEST = 2


@dataclass(frozen=True, slots=True)
class Ratio:
    """Candidate over baseline, the geometric mean of `n` cases' ratios; `upper` is infinite for a single cluster."""

    value: float
    lower: float
    upper: float
    n: int

    def as_document(self) -> dict[str, float | None]:
        """The ratio as a JSON object; an infinite bound is null."""
        upper = self.upper if math.isfinite(self.upper) else None
        return {"value": self.value, "lower": self.lower, "upper": upper, "n": self.n}


@dataclass(frozen=True, slots=True, kw_only=True)
class CostDifference:
    """Totals of both sides, baseline first; USD None = the price of a run is unknown."""

    usd: tuple[float | None, float | None]
    prompt_tokens: tuple[int, int]
    completion_tokens: tuple[int, int]
    ratio: Ratio | None

    @property
    def rise(self) -> float | None:
        """By how much a case costs more (0.1 = 10 %): by the ratio, else by the totals.

        Infinite where only the baseline was free; None where a price is unknown.
        """
        before, after = self.usd
        if before is None or after is None:
            return None
        if self.ratio is not None:
            return self.ratio.value - 1.0
        if before == after:
            return 0.0
        return after / before - 1.0 if before else math.inf

    def as_document(self) -> dict[str, Any]:
        """The difference as a JSON object."""
        return {
            "baselineUsd": self.usd[0],
            "candidateUsd": self.usd[1],
            "ratio": self.ratio.as_document() if self.ratio is not None else None,
            "promptTokens": list(self.prompt_tokens),
            "completionTokens": list(self.completion_tokens),
        }


def cost_difference(pairs: Sequence[TrialPair]) -> CostDifference:
    """Tokens and USD of all pairs; the ratio is of those cases that cost something on both sides."""
    old, new = [pair.baseline for pair in pairs], [pair.candidate for pair in pairs]
    return CostDifference(
        usd=(_total(old), _total(new)),
        prompt_tokens=(sum(trial.prompt_tokens for trial in old), sum(trial.prompt_tokens for trial in new)),
        completion_tokens=(
            sum(trial.completion_tokens for trial in old),
            sum(trial.completion_tokens for trial in new),
        ),
        ratio=_ratio(pairs),
    )


def _total(trials: Iterable[Trial]) -> float | None:
    costs = [trial.cost_usd for trial in trials]
    return None if any(cost is None for cost in costs) else math.fsum(cost for cost in costs if cost is not None)


def _ratio(pairs: Sequence[TrialPair]) -> Ratio | None:
    """Repeats are averaged by case first: they are not independent."""
    by_case: dict[str, list[TrialPair]] = {}
    for pair in pairs:
        by_case.setdefault(pair.case, []).append(pair)
    costs: list[tuple[TrialPair, float, float]] = []
    for repeats in by_case.values():
        before, after = _total(pair.baseline for pair in repeats), _total(pair.candidate for pair in repeats)
        if before and after:
            costs.append((repeats[0], before / len(repeats), after / len(repeats)))
    if len(costs) < FEWEST:
        return None
    from penstock.scoring.statistics.log_ratio import log_ratio

    pairs_of, before_usd, after_usd = zip(*costs, strict=True)
    clusters = [pair.cluster for pair in pairs_of]
    found = log_ratio(before_usd, after_usd, alpha=ALPHA, clusters=clusters)
    return Ratio(found.ratio, found.lower, found.upper, len(costs))

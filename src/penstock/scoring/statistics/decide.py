"""The verdict over pairs of one measure: worse than production, surely not by more than a margin, or not to be told."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from penstock.errors import Invalid
from penstock.scoring.statistics.betting import BettingTest, betting_test
from penstock.scoring.statistics.cluster import ClosedUnit, closed_units, group_means
from penstock.scoring.statistics.detectable import detectable_flips, detectable_mean
from penstock.scoring.statistics.informing import sign_flip_p_value, t_p_value
from penstock.scoring.statistics.log_ratio import log_ratio
from penstock.scoring.statistics.mcnemar import mcnemar_exact, mcnemar_mid_p
from penstock.scoring.statistics.order import unit_order
from penstock.scoring.statistics.outcome import Outcome, outcome_of_loss, outcome_of_rise
from penstock.scoring.statistics.refusal import refuse_alpha, refuse_margin
from penstock.scoring.statistics.sequential import EarlyDecision, decide_early, early_alpha, final_alpha
from penstock.scoring.statistics.tango import Flips, tango_interval, tango_p_value

ROUNDING = 1e-9
"""Relative: what a logarithm and back may change of a ratio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One case on both sides, repeats already reduced. Of `cluster` None = it hangs together with no other case.

    `compare` takes values in [0, 1] of which more is better, `compare_ratio` amounts of which less is better.
    """

    unit: str
    cluster: str | None
    baseline: float
    candidate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the pairs say. `units` are what was counted: cases, or clusters where there are any.

    `difference` = candidate - baseline, averaged over units. `lower` and `upper` are one-sided bounds at `alpha` each.
    `p_value` is that of H0: worse by `margin` or more. `wins`, `losses` and `ties` count cases. `early` = decided
    before the end by the always-valid test, by the units that are counted here. `informing` decides nothing.
    """

    method: Literal["tango", "betting"]
    units: int
    difference: float
    lower: float
    upper: float
    p_value: float
    wins: int
    losses: int
    ties: int
    margin: float
    alpha: float
    minimum_detectable_loss: float | None
    outcome: Outcome
    reason: str
    informing: dict[str, float]
    early: bool = False

    def as_document(self) -> dict[str, Any]:
        """As reports hold it."""
        return {
            "method": self.method,
            "units": self.units,
            "difference": self.difference,
            "lower": self.lower,
            "upper": self.upper,
            "pValue": self.p_value,
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "margin": self.margin,
            "alpha": self.alpha,
            "minimumDetectableLoss": self.minimum_detectable_loss,
            "outcome": self.outcome,
            "reason": self.reason,
            "informing": dict(self.informing),
            "early": self.early,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioComparison:
    """What pairs of amounts say: `ratio` = geometric mean of candidate / baseline, bounds one-sided at `alpha` each.

    One unit has no spread: its bounds are 0 and infinity (null in the document).
    """

    units: int
    ratio: float
    lower: float
    upper: float
    max_rise: float
    alpha: float
    outcome: Outcome
    reason: str

    def as_document(self) -> dict[str, Any]:
        """As reports hold it."""
        return {
            "method": "log-ratio",
            "units": self.units,
            "ratio": self.ratio,
            "lower": self.lower,
            "upper": self.upper if math.isfinite(self.upper) else None,
            "maxRise": self.max_rise,
            "alpha": self.alpha,
            "outcome": self.outcome,
            "reason": self.reason,
        }


def compare(pairs: Sequence[Pair], *, margin: float, alpha: float = 0.05, early_stop: bool = False) -> Comparison:
    """Whether the candidate is worse by `margin` (0..1] or more: failed, passed, or the pairs do not tell.

    Yes or no without clusters is judged by Tango's test, all else by betting on the means of clusters. The order of
    the pairs is of no account: units are taken in `unit_order`, which is also that in which a run with `early_stop`
    must make them. Of alpha that takes a fifth for the early looks. Raises `Invalid` for no pairs, a unit that comes
    twice, and values that are no number from 0 to 1: never a verdict on those.
    """
    ordered = _checked(pairs, margin, alpha)
    if early_stop:
        found = _early(ordered, margin, alpha)
        if found is not None:
            return _early_comparison(ordered, found, margin, alpha)
    level = final_alpha(alpha) if early_stop else alpha
    judge = _by_tango if _are_flips(ordered) else _by_betting
    return _comparison(judge(ordered, margin, level), margin, level)


def has_settled(pairs: Sequence[Pair], *, margin: float, alpha: float = 0.05) -> bool:
    """Whether `compare(..., early_stop=True)` is decided already: the same answer, quick enough to ask during a run."""
    return _early(_checked(pairs, margin, alpha), margin, alpha) is not None


def compare_ratio(pairs: Sequence[Pair], *, max_rise: float, alpha: float = 0.05) -> RatioComparison:
    """Whether the candidate takes more than `max_rise` (0.1 = a tenth) above the baseline, on ratios of pairs.

    Cases of a cluster are averaged. Raises `Invalid` for no pairs, a unit that comes twice, negative amounts, and
    zero on one side only; zero on both is no change.
    """
    if not 0 <= max_rise < math.inf:
        raise Invalid(f"rise of {max_rise}", now="0.1 lets a tenth more pass")
    _refuse_repeated(pairs)
    ordered = sorted(pairs, key=lambda pair: unit_order(pair.unit, pair.cluster))
    _refuse_amounts(ordered)
    found = log_ratio(
        [pair.baseline for pair in ordered],
        [pair.candidate for pair in ordered],
        alpha=alpha,
        clusters=[pair.cluster for pair in ordered],
    )
    outcome = outcome_of_rise(found.lower, found.upper, (1 + max_rise) * (1 + ROUNDING))
    counted = _counted(found.units, ordered)
    unchanged = f", {found.unchanged} of nothing on both sides" if found.unchanged else ""
    between = f"{found.ratio:.3g} times production ({found.lower:.3g} to {found.upper:.3g}, {counted}{unchanged})"
    told = {
        "passed": f"{between}: no more than {1 + max_rise:g} for certain",
        "failed": f"{between}: more than {1 + max_rise:g} for certain",
        "inconclusive": f"{between}: whether that is more than {1 + max_rise:g} is not certain",
    }
    return RatioComparison(
        units=found.units,
        ratio=found.ratio,
        lower=found.lower,
        upper=found.upper,
        max_rise=max_rise,
        alpha=alpha,
        outcome=outcome,
        reason=told[outcome],
    )


def _checked(pairs: Sequence[Pair], margin: float, alpha: float) -> list[Pair]:
    """The pairs in `unit_order`; raises `Invalid` for what may not be judged."""
    refuse_margin(margin)
    refuse_alpha(alpha)
    _refuse_repeated(pairs)
    wrong = [
        f"{pair.unit} ({pair.baseline} and {pair.candidate})"
        for pair in pairs
        if not (0 <= pair.baseline <= 1 and 0 <= pair.candidate <= 1)
    ]
    if wrong:
        raise Invalid(f"values that are no number from 0 to 1: {', '.join(wrong)}", now="correct what measured them")
    return sorted(pairs, key=lambda pair: unit_order(pair.unit, pair.cluster))


def _refuse_repeated(pairs: Sequence[Pair]) -> None:
    if not pairs:
        raise Invalid("no pairs to compare", now="nothing is neither better nor worse: give at least one")
    counts = Counter(pair.unit for pair in pairs)
    twice = [unit for unit, count in counts.items() if count > 1]
    if twice:
        raise Invalid(f"units that come twice: {', '.join(twice)}", now="average the repeats of a unit first")


def _refuse_amounts(pairs: Sequence[Pair]) -> None:
    wrong = [
        f"{pair.unit} ({pair.baseline} and {pair.candidate})"
        for pair in pairs
        if not (0 <= pair.baseline < math.inf and 0 <= pair.candidate < math.inf)
        or (pair.baseline == 0) != (pair.candidate == 0)
    ]
    if wrong:
        raise Invalid(
            f"amounts without a ratio: {', '.join(wrong)}", now="compare only what takes something on both sides"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What a method found of `pairs`, before the rule makes a verdict of it."""

    method: Literal["tango", "betting"]
    pairs: Sequence[Pair]
    units: int
    difference: float
    lower: float
    upper: float
    p_value: float
    detectable: float | None


def _by_tango(pairs: Sequence[Pair], margin: float, alpha: float) -> _Finding:
    flips = _flips(pairs)
    lower, upper = tango_interval(flips, alpha=alpha)
    return _Finding(
        method="tango",
        pairs=pairs,
        units=flips.units,
        difference=flips.difference,
        lower=lower,
        upper=upper,
        p_value=tango_p_value(flips, margin=margin),
        detectable=detectable_flips(flips, alpha=alpha),
    )


def _by_betting(pairs: Sequence[Pair], margin: float, alpha: float) -> _Finding:
    means = group_means(_differences(pairs), [pair.cluster for pair in pairs])
    return _of_betting(pairs, means, betting_test(means, margin=margin, alpha=alpha), alpha)


def _of_betting(pairs: Sequence[Pair], means: Sequence[float], test: BettingTest, alpha: float) -> _Finding:
    return _Finding(
        method="betting",
        pairs=pairs,
        units=len(means),
        difference=test.difference,
        lower=test.lower,
        upper=test.upper,
        p_value=test.p_value,
        detectable=detectable_mean(means, alpha=alpha),
    )


def _early(pairs: Sequence[Pair], margin: float, alpha: float) -> tuple[EarlyDecision, list[ClosedUnit]] | None:
    """The early decision and the units that it took, at the part of `alpha` that early looks have."""
    units = list(closed_units(_differences(pairs), [pair.cluster for pair in pairs]))
    found = decide_early([unit.value for unit in units], margin=margin, alpha=early_alpha(alpha))
    return (found, units[: found.after]) if found is not None else None


def _early_comparison(
    pairs: Sequence[Pair], found: tuple[EarlyDecision, list[ClosedUnit]], margin: float, alpha: float
) -> Comparison:
    decision, units = found
    level = early_alpha(alpha)
    finding = _of_betting(pairs[: units[-1].seen], [unit.value for unit in units], decision.test, level)
    return _comparison(finding, margin, level, early_of=len(pairs))


def _comparison(finding: _Finding, margin: float, alpha: float, early_of: int | None = None) -> Comparison:
    """The verdict; `early_of` = how many cases there are when fewer decided."""
    pairs, flips = finding.pairs, _flips(finding.pairs)
    outcome = outcome_of_loss(finding.lower, finding.upper, margin)
    early = f"; decided after {len(pairs)} of {early_of} cases" if early_of is not None else ""
    return Comparison(
        method=finding.method,
        units=finding.units,
        difference=finding.difference,
        lower=finding.lower,
        upper=finding.upper,
        p_value=finding.p_value,
        wins=flips.wins,
        losses=flips.losses,
        ties=flips.units - flips.wins - flips.losses,
        margin=margin,
        alpha=alpha,
        minimum_detectable_loss=finding.detectable,
        outcome=outcome,
        reason=_reason(finding, outcome, margin) + early,
        informing=_informing(pairs),
        early=early_of is not None,
    )


def _reason(finding: _Finding, outcome: Outcome, margin: float) -> str:
    seen = f"difference {finding.difference:+.3g} over {_counted(finding.units, finding.pairs)}"
    if outcome == "failed":
        return f"worse than production by at least {-finding.upper:.3g} ({seen})"
    least = max(-finding.lower, 0.0)
    if outcome == "passed" and not least:
        return f"better than production by at least {finding.lower:.3g} ({seen})"
    if outcome == "passed":
        return f"at most {least:.3g} worse than production, within the margin of {margin:g} ({seen})"
    shown = (
        f"the smallest loss they would likely show is {finding.detectable:.2g}"
        if finding.detectable is not None
        else "they would show no loss at all"
    )
    return f"may be up to {least:.3g} worse than production, beyond the margin of {margin:g} ({seen}: {shown})"


def _informing(pairs: Sequence[Pair]) -> dict[str, float]:
    """p-values of the usual tests of no difference; McNemar's only of what it is made for."""
    differences, clusters = _differences(pairs), [pair.cluster for pair in pairs]
    flips = _flips(pairs)
    mcnemar = {
        "mcnemarExact": mcnemar_exact(flips.losses, flips.wins),
        "mcnemarMidP": mcnemar_mid_p(flips.losses, flips.wins),
    }
    return {
        **(mcnemar if _are_flips(pairs) else {}),
        "t": t_p_value(differences, clusters),
        "signFlip": sign_flip_p_value(group_means(differences, clusters)),
    }


def _differences(pairs: Sequence[Pair]) -> list[float]:
    return [pair.candidate - pair.baseline for pair in pairs]


def _are_flips(pairs: Sequence[Pair]) -> bool:
    """Whether all values are 0 or 1, and no two cases are of one cluster."""
    named = [pair.cluster for pair in pairs if pair.cluster is not None]
    binary = all(pair.baseline in (0, 1) and pair.candidate in (0, 1) for pair in pairs)
    return binary and len(named) == len(set(named))


def _flips(pairs: Sequence[Pair]) -> Flips:
    """Cases on which one side is ahead."""
    return Flips(
        units=len(pairs),
        losses=sum(pair.candidate < pair.baseline for pair in pairs),
        wins=sum(pair.candidate > pair.baseline for pair in pairs),
    )


def _counted(units: int, pairs: Sequence[Pair]) -> str:
    """`60 cases`, or `12 clusters of 60 cases`."""
    cases = f"{len(pairs)} case{'s' * (len(pairs) != 1)}"
    return cases if units == len(pairs) else f"{units} cluster{'s' * (units != 1)} of {cases}"

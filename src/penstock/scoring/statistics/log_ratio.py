"""How much more a candidate takes (USD, milliseconds, tokens): case by case, on logarithms of ratios."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from penstock.errors import Invalid
from penstock.scoring.statistics.cluster import group_means
from penstock.scoring.statistics.extra import evals_extra
from penstock.scoring.statistics.refusal import refuse_alpha

SKEWED = 1.0
"""Skewness of the logarithms from which t's symmetry is not believed alone."""
FEWEST_RESAMPLED = 8
RESAMPLES = 2_000
SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRatio:
    """Geometric mean of candidate / baseline over `units`; 1.0 = as much as before, 1.1 = a tenth more.

    `lower` and `upper` are one-sided bounds at alpha each; one unit has no spread, so its bounds are 0 and infinity.
    `unchanged` counts pairs that were zero on both sides.
    """

    ratio: float
    lower: float
    upper: float
    units: int
    unchanged: int = 0


def log_ratio(
    baseline: Sequence[float],
    candidate: Sequence[float],
    *,
    alpha: float,
    clusters: Sequence[Hashable | None] | None = None,
) -> LogRatio:
    """Averages the log ratios by cluster, then takes t's interval of their mean; where skewed, the wider of t and BCa.

    Zero on both sides is no change. Raises `Invalid` for no pairs, for what is negative or no number, and for zero on
    one side only: no ratio tells how much more than nothing something is.
    """
    refuse_alpha(alpha)
    if len(baseline) != len(candidate) or not baseline:
        raise Invalid(f"{len(baseline)} values beside {len(candidate)}", now="give at least one pair")
    logs = [_log_of(at, *pair) for at, pair in enumerate(zip(baseline, candidate, strict=True), start=1)]
    means = group_means(logs, clusters if clusters is not None else [None] * len(logs))
    mean = math.fsum(means) / len(means)
    lower, upper = _bounds(means, mean, alpha)
    unchanged = sum(before == after == 0 for before, after in zip(baseline, candidate, strict=True))
    return LogRatio(
        ratio=math.exp(mean),
        lower=math.exp(lower) if lower > -math.inf else 0.0,
        upper=math.exp(upper) if upper < math.inf else math.inf,
        units=len(means),
        unchanged=unchanged,
    )


def _log_of(at: int, before: float, after: float) -> float:
    if not (0 <= before < math.inf and 0 <= after < math.inf):
        raise Invalid(f"pair {at} is {before} and {after}", now="give numbers that are not negative")
    if before == after == 0:
        return 0.0
    if not before or not after:
        raise Invalid(f"pair {at} is {before} and {after}: no ratio", now="compare units that take something on both")
    return math.log(after) - math.log(before)


def _bounds(means: Sequence[float], mean: float, alpha: float) -> tuple[float, float]:
    if len(means) < 2:
        return -math.inf, math.inf
    squares = math.fsum((value - mean) ** 2 for value in means)
    if squares <= len(means) * (1e-12 * max(1.0, abs(mean))) ** 2:  # rounding only: all changed alike
        return mean, mean
    with evals_extra():
        from scipy.stats import t
    reach = float(t.isf(alpha, len(means) - 1)) * math.sqrt(squares / (len(means) - 1) / len(means))
    lower, upper = mean - reach, mean + reach
    skewness = math.fsum((value - mean) ** 3 for value in means) / len(means) / (squares / len(means)) ** 1.5
    if len(means) < FEWEST_RESAMPLED or abs(skewness) <= SKEWED:
        return lower, upper
    low, high = _resampled(means, alpha)
    return min(lower, low), max(upper, high)


def _resampled(means: Sequence[float], alpha: float) -> tuple[float, float]:
    """BCa bounds of the mean, one-sided at alpha each, seeded."""
    with evals_extra():
        from numpy import array, mean
        from numpy.random import default_rng
        from scipy.stats import bootstrap
    found = bootstrap(
        (array(means, dtype=float),),
        mean,
        confidence_level=1 - 2 * alpha,
        n_resamples=RESAMPLES,
        batch=500,
        method="BCa",
        rng=default_rng(SEED),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)

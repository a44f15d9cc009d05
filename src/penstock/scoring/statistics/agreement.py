"""How far two raters agree beyond chance: a judge with people's labels, or people with each other."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

from penstock.errors import Invalid
from penstock.scoring.statistics.extra import evals_extra
from penstock.scoring.statistics.proportion import wilson_interval
from penstock.scoring.statistics.refusal import refuse_alpha, refuse_values

RESAMPLES = 1_000
SEED = 1
LARGEST = 1e100
"""A rating whose square is still a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Cohen's kappa or Krippendorff's alpha of `units` rated by both: 1 = always agree, 0 = as by chance."""

    statistic: Literal["kappa", "alpha"]
    value: float
    lower: float
    upper: float
    units: int

    def as_document(self) -> dict[str, Any]:
        """As reports hold it."""
        return {
            "statistic": self.statistic,
            "value": self.value,
            "lower": self.lower,
            "upper": self.upper,
            "n": self.units,
        }


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable], *, alpha: float = 0.05) -> Agreement:
    """Kappa of words or yes/no by two raters, with statsmodels' asymptotic interval, two-sided at 1 - alpha together.

    Raises `Invalid` where kappa is not defined: no labels, not equally many, or all of them, of both, the same.
    """
    refuse_alpha(alpha)
    _refuse_uncomparable(first, second)
    with evals_extra():
        from numpy import errstate, zeros
        from statsmodels.stats.inter_rater import cohens_kappa
    words = {word: at for at, word in enumerate(dict.fromkeys([*first, *second]))}
    table = zeros((len(words), len(words)))
    for one, other in zip(first, second, strict=True):
        table[words[one], words[other]] += 1
    with errstate(invalid="ignore", divide="ignore"):  # its own test of kappa = 0, where a rater has one answer only
        found = cohens_kappa(table)
    value, reach = float(found.kappa), NormalDist().inv_cdf(1 - alpha / 2) * math.sqrt(max(float(found.var_kappa), 0.0))
    lower, upper = max(value - reach, -1.0), min(value + reach, 1.0)
    if all(one == other for one, other in zip(first, second, strict=True)):
        lower = _lower_of_full_agreement(len(first), alpha)
    return Agreement(statistic="kappa", value=value, lower=lower, upper=upper, units=len(first))


def krippendorff_alpha(first: Sequence[float], second: Sequence[float], *, alpha: float = 0.05) -> Agreement:
    """Krippendorff's alpha (interval level) of two raters' numbers, with a seeded bootstrap over units.

    Two-sided at 1 - alpha together. Resamples in which every number is the same have no alpha and are drawn again.
    Raises `Invalid` where alpha is not defined: no numbers, not equally many, NaN, or all of both the same.
    """
    refuse_alpha(alpha)
    for numbers in (first, second):
        refuse_values(numbers, least=-LARGEST, most=LARGEST, what="rating")
    _refuse_uncomparable(first, second)
    with evals_extra():
        from numpy import array, quantile
        from numpy.random import default_rng
    ratings = array([first, second], dtype=float)
    units, random = len(first), default_rng(SEED)
    value = _interval_alpha(ratings)
    resampled: list[float] = []
    while len(resampled) < RESAMPLES:
        chosen = ratings[:, random.integers(0, units, units)]
        if chosen.min() != chosen.max():
            resampled.append(_interval_alpha(chosen))
    lower, upper = (float(bound) for bound in quantile(resampled, [alpha / 2, 1 - alpha / 2]))
    if list(first) == list(second):
        lower = _lower_of_full_agreement(units, alpha)
    return Agreement(statistic="alpha", value=value, lower=min(lower, value), upper=max(upper, value), units=units)


def _interval_alpha(ratings: Any) -> float:
    """1 - observed / expected disagreement of a 2 x n array, squared differences, in O(n).

    The krippendorff package counts coincidences of every two values: 6 s and 6 GB for 400 units of two raters.
    """
    numbers = ratings.size
    observed = float(((ratings[0] - ratings[1]) ** 2).sum())
    expected = float(((ratings - ratings.mean()) ** 2).sum()) * numbers / (numbers - 1)
    return float(1.0 - observed / expected)


def _refuse_uncomparable(first: Sequence[Hashable], second: Sequence[Hashable]) -> None:
    if len(first) != len(second):
        raise Invalid(f"{len(first)} ratings beside {len(second)}", now="let both rate the same units")
    if len(first) < 2:
        raise Invalid(f"{len(first)} ratings to compare", now="let both rate at least two units")
    if len({*first, *second}) == 1:
        raise Invalid(
            f"all {len(first)} ratings of both are {first[0]!r}: agreement beyond chance is not defined",
            now="add units that should be rated otherwise",
        )


def _lower_of_full_agreement(units: int, alpha: float) -> float:
    """Where no disagreement was seen, both methods would claim certainty after two units.

    Instead: at most Wilson's upper share of all units disagrees, and those as much as by chance.
    """
    return 1.0 - wilson_interval(0, units, alpha=alpha)[1]

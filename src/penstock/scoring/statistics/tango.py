"""Tango's score test: is a candidate's share of right cases not worse than a paired baseline's, by more than a margin?

Tango T. (1998), "Equivalence test and confidence interval for the difference in proportions for the paired-sample
design", Statistics in Medicine 17, 891-908. Own code: neither SciPy nor statsmodels has it.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from penstock.errors import Invalid
from penstock.scoring.statistics.refusal import refuse_alpha, refuse_counts, refuse_margin

HALVINGS = 80
"""Of an interval of length 2: below the precision of a float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """A paired yes/no table: of all `units` only the baseline got `losses` right, only the candidate `wins`."""

    units: int
    losses: int
    wins: int

    def __post_init__(self) -> None:
        refuse_counts(self.losses, self.wins)
        if self.units < 1 or self.losses + self.wins > self.units:
            raise Invalid(
                f"{self.losses} losses and {self.wins} wins in {self.units} units", now="count every unit once"
            )

    @property
    def difference(self) -> float:
        """Share of right cases, candidate less baseline."""
        return (self.wins - self.losses) / self.units

    def mirrored(self) -> "Flips":
        """The same with candidate and baseline changed over."""
        return Flips(units=self.units, losses=self.wins, wins=self.losses)


def tango_z(flips: Flips, *, margin: float) -> float:
    """The score statistic Z of H0: difference = -margin; large when the candidate is better than that.

    A negative margin asks for H0: difference > 0. Infinite where H0 allows no other table than one that was not seen.
    """
    if margin < 0:
        return -tango_z(flips.mirrored(), margin=-margin)
    above = flips.wins - flips.losses + flips.units * margin
    variance = flips.units * (2 * _wins_under(flips, margin) + margin * (1 - margin))
    if variance <= 0:
        return math.copysign(math.inf, above) if above else 0.0
    return above / math.sqrt(variance)


def tango_p_value(flips: Flips, *, margin: float) -> float:
    """One-sided p of H0: the candidate is worse by `margin` (0 < margin <= 1) or more."""
    refuse_margin(margin)
    return NormalDist().cdf(-tango_z(flips, margin=margin))


def tango_interval(flips: Flips, *, alpha: float) -> tuple[float, float]:
    """Lower and upper bound of the difference, each one-sided at `alpha` (so together 1 - 2 alpha)."""
    refuse_alpha(alpha)
    return _lower_bound(flips, alpha), -_lower_bound(flips.mirrored(), alpha)


def _wins_under(flips: Flips, margin: float) -> float:
    """Most likely share of wins where the share of losses is larger by `margin` (root of the score equation)."""
    linear = flips.wins + flips.losses - margin * (2 * flips.units + flips.wins - flips.losses)
    constant = 2 * flips.wins * margin * (1 - margin)
    root = math.sqrt(linear * linear + 4 * flips.units * constant)
    if linear >= 0:
        return (linear + root) / (4 * flips.units)
    return constant / (root - linear)  # the same without the difference of two nearly equal numbers


def _lower_bound(flips: Flips, alpha: float) -> float:
    """The smallest difference that the score test does not reject; Z falls as the difference rises."""
    limit = NormalDist().inv_cdf(1 - alpha)
    low, high = -1.0, flips.difference
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if tango_z(flips, margin=-middle) > limit:
            low = middle
        else:
            high = middle
    return low

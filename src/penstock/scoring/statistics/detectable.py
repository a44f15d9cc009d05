"""The minimum detectable loss: what a set of this size would most likely show, so that silence can be weighed.

It is the smallest true loss that fails (upper bound below 0) with a chance of 80 %.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

from penstock.scoring.statistics.betting import LARGEST_STAKE
from penstock.scoring.statistics.extra import evals_extra
from penstock.scoring.statistics.refusal import refuse_alpha, refuse_values
from penstock.scoring.statistics.tango import Flips

POWER = 0.8
HALVINGS = 20
"""Of the range 0..1: to a millionth."""


def detectable_flips(flips: Flips, *, alpha: float) -> float | None:
    """For Tango's test, by exact enumeration, at the share of flips that was seen (or at the loss, if that is more).

    None if not even a total loss would show.
    """
    refuse_alpha(alpha)
    seen = (flips.losses + flips.wins) / flips.units
    with evals_extra():
        from numpy import arange, floor, maximum, sqrt
        from scipy.stats import binom
    limit = NormalDist().inv_cdf(1 - alpha)
    counts = arange(1, flips.units + 1)
    # At a margin of 0 Tango's Z is (losses - wins) / sqrt(flips): so many losses are needed of so many flips.
    needed = floor((counts + limit * sqrt(counts)) / 2) + 1

    def power(loss: float) -> float:
        share = max(seen, loss)
        shown = binom.sf(needed - 1, counts, (1 + loss / share) / 2)
        return float((binom.pmf(counts, flips.units, share) * maximum(shown, 0)).sum())

    return _smallest(power)


def detectable_mean(differences: Sequence[float], *, alpha: float) -> float | None:
    """For betting, by a formula: the chance that a random walk with the drift of the log capital reaches ln(1 / alpha).

    The differences (in [-1, 1]) are taken as they are about their mean, and the loss as whole units lost: that is the
    loss of its size that is hardest to see. None if not even a total loss would show.
    """
    refuse_alpha(alpha)
    refuse_values(differences, least=-1, most=1, what="difference")
    units = len(differences)
    mean = math.fsum(differences) / units
    # Betting on a loss: y = 1/2 is no difference, y = 1 a unit lost; H0 says that the mean of y is at most 1/2.
    gains = [(mean - difference) / 2 for difference in differences]
    variance = math.fsum(gain * gain for gain in gains) / units
    barrier = math.log(1 / alpha)

    def power(loss: float) -> float:
        spread = (1 - loss) * variance + loss * (1 - loss) / 4
        aim = math.sqrt(2 * barrier / (units * spread)) if spread > 0 else math.inf
        stake = min(aim, LARGEST_STAKE / 0.5)
        grown = [math.log1p(stake * gain) if gain > -0.5 else math.log1p(-stake / 2) for gain in gains]
        lost = math.log1p(stake / 2)
        drift = (1 - loss) * math.fsum(grown) / units + loss * lost
        square = (1 - loss) * math.fsum(one * one for one in grown) / units + loss * lost * lost
        return _reaches(barrier, drift, max(square - drift * drift, 0.0), units)

    return _smallest(power)


def _reaches(barrier: float, drift: float, variance: float, steps: int) -> float:
    """The chance that a Brownian motion reaches `barrier` in time (Bachelier-Lévy)."""
    if variance == 0:
        return 1.0 if drift * steps >= barrier else 0.0
    scale, normal = math.sqrt(variance * steps), NormalDist()
    ends_above = normal.cdf((drift * steps - barrier) / scale)
    tail = normal.cdf((-barrier - drift * steps) / scale)
    # The tail is nearly 0 where the exponent is large: their product is taken by logarithms.
    return ends_above + (math.exp(min(2 * drift * barrier / variance + math.log(tail), 0.0)) if tail > 0 else 0.0)


def _smallest(power: Callable[[float], float]) -> float | None:
    """The smallest loss with enough power, which rises with the loss; None if none has it."""
    low, high = 0.0, 1.0
    if power(high) < POWER:
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if power(middle) < POWER:
            low = middle
        else:
            high = middle
    return high

"""A bounded mean tested by betting: valid for every sample size and every distribution within the bounds.

Waudby-Smith I., Ramdas A. (2024), "Estimating means of bounded random variables by betting", JRSS B 86, 1-27. Who
bets against H0 with capital 1, one unit after the other and never knowing the next, has more than 1 / alpha at any
time with a probability of at most alpha if H0 is true (Ville). The bets are their predictable plug-in. Own code: no
library has it. Plain Python, since a run with early stop asks it again and again.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penstock.scoring.statistics.bisection import edge
from penstock.scoring.statistics.refusal import refuse_alpha, refuse_values

LARGEST_STAKE = 0.9
"""Of the capital, on one unit: who stakes all of it can lose all of it."""
PRIOR_VARIANCE = 0.1
"""Of a value in [0, 1], before anything was seen; with the weight of `PRIOR_UNITS`. See docs/design/statistics.md."""
PRIOR_UNITS = 4
HALVINGS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class BettingTest:
    """What betting says of the mean of differences in [-1, 1].

    `lower` and `upper` are one-sided at alpha each. `p_value` is that of H0: mean <= -margin. All three are valid
    whenever one looks (anytime), and enclose the mean that was seen.
    """

    difference: float
    lower: float
    upper: float
    p_value: float


def betting_test(
    differences: Sequence[float], *, margin: float, alpha: float, horizon: int | None = None
) -> BettingTest:
    """Tests paired differences (candidate - baseline, in [-1, 1]), in an order that does not depend on their values.

    `horizon` is the number of units for which the bets are tuned (default: as many as there are); it changes power,
    never validity. It must not depend on what was measured: who may stop early gives a fixed one. Raises `Invalid`
    for no differences, for one that is out of range, and for an alpha outside (0, 0.5).
    """
    refuse_alpha(alpha)
    refuse_values(differences, least=-1, most=1, what="difference")
    units = horizon if horizon is not None else len(differences)
    seen = math.fsum(differences) / len(differences)
    mirrored = [-difference for difference in differences]
    return BettingTest(
        difference=seen,
        lower=min(_lower_bound(differences, alpha, units), seen),
        upper=max(-_lower_bound(mirrored, alpha, units), seen),
        p_value=betting_p_value(differences, margin=margin, alpha=alpha, horizon=units),
    )


def betting_p_value(differences: Sequence[float], *, margin: float, alpha: float, horizon: int) -> float:
    """The p of `betting_test` alone: 1 / the most capital there ever was; 1.0 where the mean seen is itself of H0."""
    if math.fsum(differences) / len(differences) <= -margin:
        return 1.0
    return math.exp(-max(0.0, *log_capital(differences, null=-margin, alpha=alpha, horizon=horizon)))


def log_capital(differences: Sequence[float], *, null: float, alpha: float, horizon: int) -> Iterator[float]:
    """Logarithm of the capital after each unit of who bets against H0: mean <= `null` (-1 <= null <= 1)."""
    mean = (null + 1) / 2
    most = LARGEST_STAKE / mean if mean > 0 else math.inf
    capital = 0.0
    for difference, stake in zip(differences, _stakes(differences, alpha, horizon), strict=True):
        capital += math.log1p(min(stake, most) * ((difference + 1) / 2 - mean))
        yield capital


def _stakes(differences: Sequence[float], alpha: float, horizon: int) -> Iterator[float]:
    """What is staked on each unit, from the variance of those before it: sqrt(2 ln(1 / alpha) / (horizon variance))."""
    aim = 2 * math.log(1 / alpha) / horizon
    total, squares = PRIOR_UNITS * 0.5, PRIOR_UNITS * PRIOR_VARIANCE
    for seen, difference in enumerate(differences, start=PRIOR_UNITS):
        yield math.sqrt(aim * seen / squares)
        value = (difference + 1) / 2
        total += value
        squares += (value - total / (seen + 1)) ** 2


def _lower_bound(differences: Sequence[float], alpha: float, horizon: int) -> float:
    """The highest mean that betting rejects; capital falls as the mean that it bets against rises."""
    enough = math.log(1 / alpha)

    def rejects(null: float) -> bool:
        return any(capital >= enough for capital in log_capital(differences, null=null, alpha=alpha, horizon=horizon))

    return edge(rejects, -1.0, 1.0, halvings=HALVINGS)

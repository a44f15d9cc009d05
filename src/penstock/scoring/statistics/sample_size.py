"""How many units a proof of `not worse by a margin` takes, before anything is measured."""

import math
from statistics import NormalDist

from penstock.errors import Invalid
from penstock.scoring.statistics.refusal import refuse_alpha, refuse_margin

POWER = 0.8


def units_to_prove(*, loss: float, margin: float, share: float, alpha: float, power: float = POWER) -> int:
    """Units of the canary that prove, with a chance of `power`, that it loses less than `margin` more than prod.

    Both lose `loss` (0 <= loss < 1) in truth, and `share` (0..1) of all units are the canary's. It is the number for
    one test of fixed size (Chow S.-C., Shao J., Wang H., Lokhnygina Y., "Sample Size Calculations in Clinical
    Research", 4.2, non-inferiority of two proportions), and at least so many that one that loses the margin would have
    shown it; who looks again and again needs more (docs/design/live-analysis.md). Raises `Invalid` for a loss, share or
    power out of range, and for a margin of 1.
    """
    refuse_alpha(alpha)
    refuse_margin(margin)
    if not 0 <= loss < 1:
        raise Invalid(f"loss {loss} is not from 0 to below 1", now="give a fraction, as 0.01")
    for what, value in (("margin", margin), ("share", share), ("power", power)):
        if not 0 < value < 1:
            raise Invalid(f"{what} {value} is not between 0 and 1", now="give a fraction, as 0.01")
    reach = NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf(power)
    canary_to_prod = share / (1 - share)
    normal = reach**2 * loss * (1 - loss) * (1 + canary_to_prod) / margin**2
    return math.ceil(max(normal, math.log(alpha) / math.log1p(-margin)))


def days_to_prove(units: int, *, share: float, sessions_a_day: float) -> float | None:
    """Days until the canary has so many units; None where it gets none."""
    canary_a_day = share * sessions_a_day
    return units / canary_a_day if canary_a_day > 0 else None

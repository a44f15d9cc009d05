"""The A/A noise floor: how much a release differs from itself, beside every difference from another release."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.scoring.statistics.betting import betting_test
from penstock.scoring.statistics.proportion import wilson_interval
from penstock.scoring.statistics.refusal import refuse_alpha, refuse_values


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """Mean disagreement (0..1) of a release with itself over `pairs` independent pairs, and its interval."""

    share: float
    lower: float
    upper: float
    pairs: int

    def as_document(self) -> dict[str, Any]:
        """As reports hold it."""
        return {"share": self.share, "lower": self.lower, "upper": self.upper, "pairs": self.pairs}


def noise_floor(disagreements: Sequence[float], *, alpha: float = 0.05) -> NoiseFloor:
    """The floor of one disagreement a case (0 = the same, 1 = wholly different), two-sided at 1 - alpha together.

    Yes or no has Wilson's interval; anything between has that of a bounded mean by betting, which holds for a handful
    of pairs too (a bootstrap of three equal values has no width). More pairs of one case are averaged before.
    """
    refuse_alpha(alpha)
    refuse_values(disagreements, least=0, most=1, what="disagreement")
    pairs = len(disagreements)
    if all(value in (0, 1) for value in disagreements):
        disagreeing = sum(value == 1 for value in disagreements)
        lower, upper = wilson_interval(disagreeing, pairs, alpha=alpha)
        return NoiseFloor(share=disagreeing / pairs, lower=lower, upper=upper, pairs=pairs)
    # Betting takes values in [-1, 1]: a disagreement d is 2 d - 1 there.
    found = betting_test([2 * value - 1 for value in disagreements], margin=1, alpha=alpha / 2)
    share, lower, upper = ((value + 1) / 2 for value in (found.difference, found.lower, found.upper))
    return NoiseFloor(share=share, lower=lower, upper=upper, pairs=pairs)

"""Stopping early without paying for it in false verdicts: betting looked at after every unit.

Looking again and again with an ordinary test finds something in the end (with t, every 25 cases: 27 % false alarms
where 5 % is meant). The capital of `betting` may be looked at after every unit.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penstock.scoring.statistics.betting import BettingTest, betting_test, log_capital
from penstock.scoring.statistics.outcome import Outcome, outcome_of_loss
from penstock.scoring.statistics.refusal import refuse_alpha, refuse_margin, refuse_values

EARLY_SHARE = 0.2
"""Of alpha, for the early looks (0.01 of 0.05); the rest (0.04) is left to the final test."""
HORIZON = 200
"""Units for which early bets are tuned: the bets must not depend on how many there will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyDecision:
    """Decided by the first `after` units; what comes later does not change it."""

    after: int
    outcome: Outcome
    test: BettingTest


def early_alpha(alpha: float) -> float:
    """The part of alpha that the early looks take."""
    return alpha * EARLY_SHARE


def final_alpha(alpha: float) -> float:
    """The part of alpha that is left to the final test of who could have stopped early."""
    return alpha - early_alpha(alpha)


def decide_early(differences: Sequence[float], *, margin: float, alpha: float) -> EarlyDecision | None:
    """The first moment at which the units so far decide, at level `alpha`; None if they do not yet.

    A pure function of the sequence: it is looked at after every unit, not after every call, so that a run that was
    resumed, or looked at less often, gives the same answer; and once decided it stays decided. The order must be
    fixed before the run: not that in which cases finish.
    """
    refuse_alpha(alpha)
    refuse_margin(margin)
    if not differences:
        return None
    refuse_values(differences, least=-1, most=1, what="difference")
    for after in _moments(differences, margin, alpha):
        test = betting_test(differences[:after], margin=margin, alpha=alpha, horizon=HORIZON)
        outcome = outcome_of_loss(test.lower, test.upper, margin)
        if outcome != "inconclusive":
            return EarlyDecision(after=after, outcome=outcome, test=test)
    return None


def _moments(differences: Sequence[float], margin: float, alpha: float) -> Iterator[int]:
    """After how many units the capital against either hypothesis is, or was before, large enough to decide."""
    mirrored = [-difference for difference in differences]
    against_loss = log_capital(differences, null=-margin, alpha=alpha, horizon=HORIZON)
    against_gain = log_capital(mirrored, null=0.0, alpha=alpha, horizon=HORIZON)
    enough, highest = math.log(1 / alpha), 0.0
    for after, capitals in enumerate(zip(against_loss, against_gain, strict=True), start=1):
        highest = max(highest, *capitals)
        if highest >= enough:
            yield after

"""Scorer `cost`: what the run cost, USD."""

from penstock.scoring.scorer import Scored, scorer
from penstock.scoring.scorers.expectation import lacking


@scorer("cost", kind="measure", revision=1, traits=["reads-failures"])
def cost(scored: Scored) -> float:
    """The cost of all model calls of the run, USD; a run that failed cost what it cost.

    Raises `ScorerFailed` where the price is unknown: unknown is not 0.
    """
    known = scored.trial.cost_usd
    if known is None:
        raise lacking(scored.case, "what the run cost is unknown", "add `price` to the model's spec")
    return known

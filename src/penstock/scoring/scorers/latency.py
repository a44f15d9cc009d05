"""Scorer `latency`: how long the run took, milliseconds."""

from typing import Literal

from penstock.scoring.scorer import Scored, scorer
from penstock.scoring.scorers.expectation import lacking


@scorer("latency", kind="measure", revision=1, traits=["reads-failures"])
def latency(scored: Scored, *, of: Literal["run", "first-token"] = "run") -> float:
    """Milliseconds from the start to the end of the run, or to its first streamed token.

    Raises `ScorerFailed` where nothing was streamed.
    """
    if of == "run":
        return scored.trial.duration_ms
    known = scored.trial.ttft_ms
    if known is None:
        raise lacking(scored.case, "the run has no first token: nothing was streamed", "use `of: run`")
    return known

"""Scorer `hallucination`: which share of the output's claims the case's context supports."""

from typing import Any, Literal

from penstock.scoring.scorer import Score, Scored, scorer
from penstock.scoring.scorers.expectation import lacking
from penstock.scoring.scorers.question import ask, cost_of, details_of, nonsense


@scorer("hallucination", kind="score", revision=1, traits=["asks-judge"])
async def hallucination(
    scored: Scored, *, no_claims: Literal["refuse", "supported"] = "refuse", allow_same_model: bool = False
) -> Score:
    """The share of claims that are supported, 1 = nothing is made up; the hallucination rate is 1 less this.

    The judge is asked `{task: claims, output, context}` and answers `{claims: [{claim, supported}]}`; the unsupported
    ones are in the details. An output without claims is no evidence unless `noClaims: supported` says otherwise.
    Raises `ScorerFailed` for a case without `context`.
    """
    case = scored.case
    if case.context is None:
        raise lacking(case, "has no `context`", "add what the answer's claims must be supported by")
    answer, said = await ask(scored, {"task": "claims", "output": scored.trial.output, "context": case.context})
    claims = answer.get("claims")
    if not isinstance(claims, list) or not all(_is_claim(one) for one in claims):
        raise nonsense(scored, answer, "`claims` is no list of {claim, supported}")
    if not claims:
        if no_claims == "refuse":
            raise nonsense(scored, answer, "no claim was found, so nothing was judged (see `noClaims`)")
        return Score(1.0, "it makes no claim", {"claims": 0, **details_of(said)}, cost_of(said))
    unsupported = [one["claim"] for one in claims if not one["supported"]]
    reason = f"{len(unsupported)} of {len(claims)} claims are not supported" if unsupported else ""
    details = {"claims": len(claims), "unsupported": unsupported, **details_of(said)}
    return Score(1 - len(unsupported) / len(claims), reason, details, cost_of(said))


def _is_claim(one: Any) -> bool:
    return (
        isinstance(one, dict) and isinstance(one.get("supported"), bool) and bool(str(one.get("claim") or "").strip())
    )

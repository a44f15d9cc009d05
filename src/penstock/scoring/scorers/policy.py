"""Scorer `policy`: no call was denied."""

from penstock.scoring.scorer import Score, Scored, scorer


@scorer("policy", kind="assertion", revision=1, traits=["reads-failures"])
def policy(scored: Scored) -> Score:
    """Whether the policy denied nothing that the run asked for, also where the run went on or failed for it."""
    denied = list(scored.trial.denied)
    return Score(not denied, f"denied: {', '.join(denied)}" if denied else "", {"denied": denied} if denied else {})

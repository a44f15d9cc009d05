"""Scorer `finished`: the run reached its output."""

from penstock.scoring.scorer import Score, Scored, scorer


@scorer("finished", kind="assertion", revision=1, traits=["reads-failures"])
def finished(scored: Scored) -> Score:
    """Whether the run finished; one that broke a limit, its output schema or a policy did not."""
    trial = scored.trial
    if trial.finished:
        return Score(True)
    failure = trial.failure or {}
    return Score(False, f"{failure.get('code', trial.status)}: {failure.get('what', 'the run did not finish')}")

"""Scorer `tokens`: how many tokens the run took."""

from typing import Literal

from penstock.scoring.scorer import Scored, scorer


@scorer("tokens", kind="measure", revision=1, traits=["reads-failures"])
def tokens(scored: Scored, *, of: Literal["all", "prompt", "completion"] = "all") -> float:
    """Prompt and completion tokens of all model calls together, or one of the two."""
    counted = {"prompt": scored.trial.prompt_tokens, "completion": scored.trial.completion_tokens}
    return float(sum(counted.values()) if of == "all" else counted[of])

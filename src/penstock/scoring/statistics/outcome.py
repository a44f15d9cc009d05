"""The rule that makes a verdict of an interval."""

from typing import Literal

Outcome = Literal["passed", "failed", "inconclusive"]


def outcome_of_loss(lower: float, upper: float, margin: float) -> Outcome:
    """For a difference candidate - baseline, of which more is better.

    failed = worse for certain, by however little; passed = for certain no more than `margin` worse; else the
    evidence does not decide.
    """
    if upper < 0:
        return "failed"
    return "passed" if lower > -margin else "inconclusive"


def outcome_of_rise(lower: float, upper: float | None, most: float) -> Outcome:
    """For a ratio candidate / baseline, of which less is better; `upper` None = no bound is known.

    failed = above `most` for certain; passed = not above it for certain; else the evidence does not decide.
    """
    if lower > most:
        return "failed"
    return "passed" if upper is not None and upper <= most else "inconclusive"

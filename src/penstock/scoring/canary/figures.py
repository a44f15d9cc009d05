"""Figures: one metric of a canary beside prod, and what they say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from penstock.contracts.agent import Slo
from penstock.contracts.pipeline import MetricWatch
from penstock.scoring.canary.loss import loss_of
from penstock.scoring.canary.session import Session
from penstock.scoring.statistics.two_streams import Block, Loss, blocks_of, stream_test

Outcome = Literal["failed", "passed", "inconclusive", "errored"]
LARGEST_UNKNOWN = 0.01
"""Of a side's sessions: if more are not on record, what is left may be what happened to be."""


@dataclass(frozen=True, slots=True)
class SideFigures:
    """The sessions of one side that have a loss, its mean from 0 to 1 (None: of nothing), and those not on record."""

    sessions: int
    mean: float | None
    unknown: int = 0

    @property
    def is_on_record(self) -> bool:
        """Whether enough is known of the side to judge it."""
        return self.unknown <= LARGEST_UNKNOWN * (self.sessions + self.unknown)

    def as_document(self) -> dict[str, Any]:
        """The side as a JSON object."""
        return {"sessions": self.sessions, "mean": self.mean, "unknown": self.unknown}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFigures:
    """One metric. failed = the canary is worse for certain; passed = no evidence of that; else there is nothing yet.

    `lower` and `upper` are bounds of mean(canary) - mean(prod), one-sided at the metric's part of alpha, valid at any
    time. `e_value` reaches `threshold` while the canary is not worse with a chance of at most that part of alpha.
    """

    watch: MetricWatch
    outcome: Outcome
    canary: SideFigures
    prod: SideFigures
    lower: float
    upper: float
    e_value: float
    threshold: float

    @property
    def difference(self) -> float | None:
        """Of the means, canary - prod; None where a side has none."""
        if self.canary.mean is None or self.prod.mean is None:
            return None
        return self.canary.mean - self.prod.mean

    @property
    def acts(self) -> bool:
        """Whether it may abort."""
        return not self.watch.dry_run

    def as_document(self) -> dict[str, Any]:
        """The metric as a JSON object."""
        return {
            "metric": self.watch.metric,
            "outcome": self.outcome,
            "dryRun": self.watch.dry_run,
            "tolerance": self.watch.tolerance,
            "canary": self.canary.as_document(),
            "prod": self.prod.as_document(),
            "difference": self.difference,
            "lower": self.lower,
            "upper": self.upper,
            "eValue": self.e_value,
            "threshold": self.threshold,
        }


def figures_of(watch: MetricWatch, sessions: Sequence[Session], slo: Slo, alpha: float) -> MetricFigures:
    """Judges one metric by these sessions, in their order."""
    measured = [(session.on_canary, loss_of(watch.metric, session, slo)) for session in sessions]
    losses = [Loss(of_canary, loss) for of_canary, loss in measured if isinstance(loss, float)]
    unknown = [of_canary for of_canary, loss in measured if loss == "unknown"]
    canary, prod = (_side(losses, unknown, of_canary=of_canary) for of_canary in (True, False))
    blocks = blocks_of(losses)
    test = stream_test(blocks, tolerance=watch.tolerance, alpha=alpha)
    difference = (canary.mean or 0.0) - (prod.mean or 0.0)
    return MetricFigures(
        watch=watch,
        outcome=_outcome((canary, prod), blocks, test.e_value >= 1 / alpha),
        canary=canary,
        prod=prod,
        lower=min(test.lower, difference) if blocks else -1.0,
        upper=max(test.upper, difference) if blocks else 1.0,
        e_value=test.e_value,
        threshold=1 / alpha,
    )


def _side(losses: Sequence[Loss], unknown: Sequence[bool], *, of_canary: bool) -> SideFigures:
    values = [loss.value for loss in losses if loss.of_first == of_canary]
    mean = math.fsum(values) / len(values) if values else None
    return SideFigures(len(values), mean, unknown.count(of_canary))


def _outcome(sides: tuple[SideFigures, SideFigures], blocks: Sequence[Block], is_worse: bool) -> Outcome:
    if not all(side.is_on_record for side in sides):
        return "errored"
    if is_worse:
        return "failed"
    return "passed" if blocks else "inconclusive"

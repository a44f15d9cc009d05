"""Losses: what a session says against its release, from 0 (nothing) to 1 (everything), one figure a metric."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from penstock.contracts.agent import Slo
from penstock.contracts.pipeline import LiveMetric
from penstock.scoring.canary.session import Session

Measured = float | None | Literal["unknown"]
"""A loss; None = the session has nothing of the kind; unknown = it has, and how it went is not on record."""


def loss_of(metric: LiveMetric, session: Session, slo: Slo) -> Measured:
    """The session's loss in a metric that applies: the share of its runs, tool calls or words that went wrong."""
    return _LOSSES[metric](session, slo)


def _success(session: Session, _slo: Slo) -> Measured:
    return _share(sum(run.status != "finished" for run in session.runs), len(session.runs))


def _latency(session: Session, slo: Slo) -> Measured:
    assert slo.p95_ms is not None
    return _over([run.duration_ms for run in session.runs], slo.p95_ms)


def _cost(session: Session, slo: Slo) -> Measured:
    assert slo.cost_per_run_usd is not None
    return _over([run.cost_usd for run in session.runs], slo.cost_per_run_usd)


def _tool_success(session: Session, _slo: Slo) -> Measured:
    """Of tool calls; runs on record without a count of failures (by an older program) say nothing."""
    counted = [(run.tool_failures, run.tool_calls or 0) for run in session.runs if run.tool_failures is not None]
    return _share(sum(failures for failures, _ in counted), sum(calls for _, calls in counted))


def _feedback(session: Session, _slo: Slo) -> Measured:
    return _share(sum(rating < 0 for rating in session.ratings), len(session.ratings))


def _over(values: Sequence[float | None], limit: float) -> Measured:
    if any(value is None for value in values):
        return "unknown"
    return _share(sum(value is not None and value > limit for value in values), len(values))


def _share(wrong: int, of: int) -> float | None:
    return wrong / of if of else None


_LOSSES: Mapping[LiveMetric, Callable[[Session, Slo], Measured]] = {
    "success": _success,
    "latency": _latency,
    "cost": _cost,
    "toolSuccess": _tool_success,
    "feedback": _feedback,
}

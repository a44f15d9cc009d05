"""The proof that a step may wait for (`requireNonInferior`), and how long it takes at today's traffic. Pure."""

from datetime import datetime

from penstock.contracts.pipeline import Pipeline
from penstock.contracts.stages import CanaryStanding
from penstock.release.canary_step import began
from penstock.release.clock import moment_of
from penstock.scoring.canary.analysis import Analysis
from penstock.scoring.canary.figures import MetricFigures
from penstock.scoring.statistics.sample_size import days_to_prove, units_to_prove

LEAST_LOSS = 0.001
"""Of prod's sessions: where none has failed yet, so many are reckoned with."""
DAY_S = 86_400


def missing_proof(analysis: Analysis, pipeline: Pipeline, canary: CanaryStanding, at: datetime) -> str:
    """One sentence on what is still to be proven; empty where nothing is asked for, or it is proven."""
    asked, proof = pipeline.spec.canary.analysis, analysis.non_inferiority
    if not asked.require_non_inferior or proof.is_proven:
        return ""
    missing = f"it is not proven that at most {asked.margin:.1%} more sessions fail"
    figures = next((one for one in analysis.metrics if one.watch.metric == "success"), None)
    share = canary.weight_bp / 10_000
    if figures is None or not 0 < share < 1:
        return f"{missing} (e = {proof.e_value:.3g} of {proof.threshold:.3g})"
    loss = min(max(figures.prod.mean or 0.0, LEAST_LOSS), 1 - LEAST_LOSS)
    units = units_to_prove(loss=loss, margin=asked.margin, share=share, alpha=asked.alpha)
    days = days_to_prove(units, share=share, sessions_a_day=_sessions_a_day(figures, canary, at))
    takes = f"{days:.1f} days at today's traffic" if days is not None else "and today there is no traffic"
    return (
        f"{missing} (e = {proof.e_value:.3g} of {proof.threshold:.3g}): it takes {units} sessions on the canary "
        f"at the least, {takes}"
    )


def _sessions_a_day(figures: MetricFigures, canary: CanaryStanding, at: datetime) -> float:
    """Of both sides, since the canary began."""
    start = moment_of(began(canary))
    seconds = (at - start).total_seconds() if start is not None else 0.0
    sessions = figures.canary.sessions + figures.prod.sessions
    return sessions / max(seconds, 1.0) * DAY_S

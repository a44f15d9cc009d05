"""Gate `canary-runs`: enough live runs of the canary, and none of the agent's promises broken by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast

from pydantic import Field

from penstock.contracts.agent import Slo
from penstock.contracts.routing_table import CanaryEntry
from penstock.errors import Unavailable
from penstock.gates.context import GateContext, LiveRun
from penstock.gates.gate import Finding, gate
from penstock.gates.live_figures import (
    JudgeFigures,
    RatedRuns,
    judge_figures,
    judged,
    mean_cost_usd,
    percentile_ms,
    share_up,
)

LEAST_COVERAGE = 0.99
"""Of the runs that were chosen for a judge: what is left out may be what it could not judge."""

Share = Annotated[float | None, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of judges and users; None = not asked."""

    judge_score: float | None
    scores: int
    feedback: float | None
    ratings: int

    def limits(self) -> dict[str, Any]:
        """Those that are asked, as a JSON object."""
        found: dict[str, Any] = {}
        if self.judge_score is not None:
            found |= {"minJudgeScore": self.judge_score, "minScores": self.scores}
        if self.feedback is not None:
            found |= {"minFeedback": self.feedback, "minRatings": self.ratings}
        return found


@dataclass(frozen=True, slots=True)
class _Said:
    """What judges and users said against the release, and what they have not said yet."""

    broken: list[str]
    lacking: list[str]


def _canary(context: GateContext) -> CanaryEntry | None:
    """The canary in force, if it is this release."""
    canary = context.routes.canary if context.routes is not None else None
    return canary if canary is not None and canary.release == context.release.digest else None


def _window(context: GateContext) -> Mapping[str, Any]:
    canary = _canary(context)
    return {"window": {"stage": "canary", "since": _began(canary) if canary is not None else None}}


def _began(canary: CanaryEntry) -> str:
    """When its first step began: a later step judges the runs of the earlier ones too."""
    return canary.began or canary.since


@gate("canary-runs", revision=2, reads=_window, reuse=frozenset({"passed"}))
def canary_runs(
    context: GateContext,
    *,
    min_runs: Count = 30,
    min_judge_score: Share = None,
    min_scores: Count = 20,
    min_feedback: Share = None,
    min_ratings: Count = 20,
) -> Finding:
    """Judges the stored live runs of stage canary since the canary began, once there are `min_runs` of them.

    A draft has none: skipped. Fewer: inconclusive. Enough: failed when the share of runs that finished is below
    slo.successRate, the 95th percentile of their duration (nearest rank) above slo.p95Ms, or their mean cost above
    slo.costPerRunUsd, as far as the agent declares them. Cancelled, rejected and cached runs are neutral: neither
    counted nor judged. `min_judge_score` asks for a mean of each of the suite's online scorers, `min_feedback` for a
    share of users' words that are up (None = not asked): failed below, inconclusive with fewer than `min_scores` and
    `min_ratings`, or while more than 1 % of the runs that were chosen for a judge have no score.
    """
    if context.origin == "draft":
        return Finding("skipped", "a draft has no live runs")
    asked = _Asked(min_judge_score, min_scores, min_feedback, min_ratings)
    limit = {**_limits(context), **asked.limits()}
    canary = _canary(context)
    if canary is None:
        return Finding("inconclusive", f"0 of {min_runs} live runs: this release is not the canary", {"runs": 0}, limit)
    if context.runs is None:
        raise Unavailable("live runs cannot be counted without the database", now="give PENSTOCK_DATABASE_URL")
    runs = context.runs.live_runs(context.agent, context.release.digest, "canary", _began(canary))
    counted = judged(runs)
    measured: dict[str, Any] = {"runs": len(counted), "neutral": len(runs) - len(counted), "since": _began(canary)}
    limit = {"minRuns": min_runs, **limit}
    if len(counted) < min_runs:
        return Finding(
            "inconclusive", f"{len(counted)} of {min_runs} live runs since {_began(canary)}", measured, limit
        )
    broken = _broken_slo(context.release.agent.spec.slo, counted, measured)
    said = _said(context, canary, asked, measured)
    if broken or said.broken:
        return Finding("failed", "; ".join([*broken, *said.broken]), measured, limit)
    if said.lacking:
        return Finding("inconclusive", "; ".join(said.lacking), measured, limit)
    finished = sum(run.status == "finished" for run in counted)
    return Finding("passed", f"{finished} of {len(counted)} live runs finished, within the SLO", measured, limit)


def _limits(context: GateContext) -> dict[str, Any]:
    slo = context.release.agent.spec.slo
    declared = {"successRate": slo.success_rate, "p95Ms": slo.p95_ms, "costPerRunUsd": slo.cost_per_run_usd}
    return {name: value for name, value in declared.items() if value is not None}


def _broken_slo(slo: Slo, runs: Sequence[LiveRun], measured: dict[str, Any]) -> list[str]:
    finished = sum(run.status == "finished" for run in runs)
    measured["successRate"] = finished / len(runs)
    broken = []
    if measured["successRate"] < slo.success_rate:
        broken.append(f"{finished} of {len(runs)} runs finished, less than {slo.success_rate:.2%}")
    if slo.p95_ms is not None:
        measured["p95Ms"] = percentile_ms(runs, 0.95)
        if measured["p95Ms"] > slo.p95_ms:
            broken.append(f"p95 is {measured['p95Ms']:.0f} ms, more than {slo.p95_ms}")
    if slo.cost_per_run_usd is not None:
        measured["costPerRunUsd"] = mean_cost_usd(runs)
        if measured["costPerRunUsd"] > slo.cost_per_run_usd:
            broken.append(f"a run costs {measured['costPerRunUsd']:.4g} USD, more than {slo.cost_per_run_usd:.4g}")
    return broken


def _said(context: GateContext, canary: CanaryEntry, asked: _Asked, measured: dict[str, Any]) -> _Said:
    said = _Said([], [])
    rated = cast(RatedRuns, context.runs)
    of = (context.agent, context.release.digest, "canary", _began(canary))
    if asked.judge_score is not None:
        figures = judge_figures(rated.live_scores(*of))
        measured["judges"] = [{"scorer": one.scorer, "n": len(one.values), "mean": one.mean} for one in figures]
        if not figures:
            said.lacking.append(f"0 of {asked.scores} judge's scores: does the eval suite say `online`?")
        for one in figures:
            _judge_says(one, asked.judge_score, asked.scores, said)
    if asked.feedback is not None:
        ratings = rated.live_ratings(*of)
        share = share_up(ratings)
        measured["feedback"] = {"n": len(ratings), "up": share}
        if share is None or len(ratings) < asked.ratings:
            said.lacking.append(f"{len(ratings)} of {asked.ratings} users' words")
        elif share < asked.feedback:
            said.broken.append(f"{share:.0%} of {len(ratings)} users' words are up, less than {asked.feedback:.0%}")
    return said


def _judge_says(one: JudgeFigures, least: float, scores: int, said: _Said) -> None:
    in_all = len(one.values) + one.missing
    if one.mean is None or len(one.values) < scores:
        said.lacking.append(f"{one.scorer}: {len(one.values)} of {scores} scores")
    elif one.mean < least:
        said.broken.append(f"{one.scorer}: the mean of {len(one.values)} scores is {one.mean:.3f}, less than {least:g}")
    elif len(one.values) < LEAST_COVERAGE * in_all:
        said.lacking.append(f"{one.scorer}: {one.missing} of {in_all} chosen runs have no score")

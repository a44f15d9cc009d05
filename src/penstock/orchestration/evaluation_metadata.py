"""What gate `eval` found, for Dagster: scorers and flips as tables, intervals as a picture, figures that plot."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from penstock.orchestration.metadata_table import metadata_table
from penstock.orchestration.picture import intervals_picture
from penstock.reporting.evaluation import Comparison, EvaluationShown, Flip, ScorerRow
from penstock.reporting.figures import interval, signed
from penstock.reporting.figures import ratio as ratio_text


def evaluation_metadata(found: EvaluationShown) -> dict[str, Any]:
    """Tables and the picture of one evaluation."""
    shown: dict[str, Any] = {"scorers": metadata_table([_scorer(one) for one in found.scorers])}
    picture = intervals_picture(found.scorers)
    if picture is not None:
        shown["intervals"] = dg.MetadataValue.md(picture)
    if any(case.baseline is not None for case in found.cases):
        shown["flips"] = metadata_table([_flip(one) for one in found.flips])
    if found.slices:
        rows = [one.as_document() for one in sorted(found.slices, key=lambda one: (one.p_holm is None, one.p_holm))]
        shown["slices"] = metadata_table(rows)
    if found.problems:
        shown["what is missing"] = metadata_table([one.as_document() for one in found.problems])
    judged = [one for one in found.scorers if one.calibration is not None]
    if judged:
        shown["judges"] = metadata_table([_judge(one) for one in judged])
    return shown


def evaluation_figures(found: EvaluationShown) -> Mapping[str, float | None]:
    """Every number that is worth following over time; None = not known."""
    worse = sum(flip.direction == "worse" for flip in found.flips)
    return {
        **{f"mean {one.title}": one.mean for one in found.scorers},
        **{f"mean {one.title} in prod": one.baseline_mean for one in found.scorers},
        "cases": len(found.cases),
        "flips in all": found.flips_in_all,
        "flips to worse": worse,
        "missing": len(found.problems),
        "cost USD": found.cost.candidate_usd,
        "cost USD in prod": found.cost.baseline_usd,
        "cost ratio": found.cost.ratio.value if found.cost.ratio is not None else None,
        "p50 ms": found.latency.candidate_p50_ms,
        "p95 ms": found.latency.candidate_p95_ms,
        "p95 ms in prod": found.latency.baseline_p95_ms,
        "latency ratio": found.latency.ratio.value if found.latency.ratio is not None else None,
        "trials": found.run.trials,
        "trials made": found.run.made,
        "seconds": found.run.seconds,
        "spent USD": found.run.cost_usd,
    }


def _scorer(one: ScorerRow) -> dict[str, Any]:
    return {
        "scorer": one.title,
        "outcome": one.outcome,
        "mean": one.mean,
        "prod": one.baseline_mean,
        "against prod": _against(one.comparison),
        "limit": one.limit.words,
        "n": one.n,
        "kind": one.kind,
        "reason": one.reason,
    }


def _against(found: Comparison | None) -> str:
    if found is None:
        return ""
    if found.ratio is not None:
        return f"{ratio_text(found.ratio)} {interval(found.lower, found.upper, ratio_text)}".strip()
    return f"{signed(found.difference)} {interval(found.lower, found.upper, signed)}".strip()


def _flip(one: Flip) -> dict[str, Any]:
    paths = dict.fromkeys(change.path for change in one.difference)
    return {
        "case": one.id,
        "scorer": one.scorer,
        "direction": one.direction,
        "tags": ", ".join(one.tags),
        "prod": one.baseline.output if one.baseline.output is not None else one.baseline.failure,
        "candidate": one.candidate.output if one.candidate.output is not None else one.candidate.failure,
        "changed": ", ".join(paths),
        "reason": one.reason,
    }


def _judge(one: ScorerRow) -> dict[str, Any]:
    judge, found = one.judge, one.calibration
    assert found is not None, "only calibrated scorers are asked for"
    return {
        "scorer": one.title,
        "judge": judge.ref if judge is not None else "",
        "agreement": found.statistic,
        "value": found.value,
        "interval": interval(found.lower, found.upper),
        "labels": found.n,
        "dataset": found.dataset or "",
        "why": found.why or "",
    }

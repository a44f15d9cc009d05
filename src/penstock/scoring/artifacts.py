"""An evaluation as JSON for reports: scorers, cases, flips, slices, problems, cost and latency."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.scoring.diff.artifact import artifact_changes
from penstock.scoring.evaluation import Evaluation, Side
from penstock.scoring.side_document import clipped, side_document
from penstock.scoring.statistics.decide import Pair, compare_ratio
from penstock.scoring.statistics.informing import sign_flip_p_value
from penstock.scoring.statistics.multiplicity import holm
from penstock.scoring.trial import Trial
from penstock.scoring.verdict import ALPHA, UNASKED, ScorerVerdict, pairs_of

MOST_FLIPS = 100
SMALLEST_SLICE = 5
FLIP = {"assertion": 0.5, "score": 0.2}
"""The least change of a case's value that is shown as a flip."""

Document = dict[str, Any]


def evaluation_artifacts(
    evaluation: Evaluation, verdicts: Sequence[ScorerVerdict], datasets: list[Document]
) -> Document:
    """Everything that a report shows of an evaluation."""
    flips = sorted(_flips(evaluation, verdicts), key=lambda flip: (flip["direction"] != "worse", flip["id"]))
    return {
        "scorers": [_scorer(evaluation, one) for one in verdicts],
        "cases": list(_cases(evaluation, verdicts)),
        "flips": flips[:MOST_FLIPS],
        "flipsInAll": len(flips),
        "slices": _slices(evaluation, verdicts),
        "problems": problems(evaluation),
        "datasets": datasets,
        "cost": _cost(evaluation),
        "latency": _latency(evaluation),
        "run": _run(evaluation),
    }


def problems(evaluation: Evaluation) -> list[Document]:
    """Every trial and score that is missing, with why."""
    found: list[Document] = []
    for name, side in evaluation.sides.items():
        for one in (*side.measured.problems, *side.scores.problems):
            found.append({"side": name, "case": one.case, "repeat": one.repeat, "what": clipped(one.what)})
    return found


def _scorer(evaluation: Evaluation, verdict: ScorerVerdict) -> Document:
    ready, use = verdict.ready, verdict.use
    calibration = evaluation.calibrations.get(ready.title)
    judge = ready.judge
    return {
        "title": ready.title,
        "scorer": use.scorer,
        "kind": ready.kind,
        "digest": ready.digest,
        "reducer": use.reducer,
        "n": len(verdict.values) or sum(verdict.labels.values()),
        "mean": verdict.mean,
        "interval": list(verdict.interval) if verdict.interval is not None else None,
        "baselineMean": verdict.baseline_mean,
        "limit": {"atLeast": use.at_least, "atMost": use.at_most, "margin": use.margin},
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "comparison": verdict.comparison,
        "labels": dict(verdict.labels) or None,
        "judge": None
        if judge is None
        else {
            "ref": judge.release.agent.ref,
            "release": judge.release.digest,
            "model": judge.release.agent.spec.main_model,
        },
        "calibration": None if calibration is None else {**calibration.as_document(), "dataset": use.calibration},
    }


def _cases(evaluation: Evaluation, verdicts: Sequence[ScorerVerdict]) -> Iterator[Document]:
    after = _by_case(evaluation.candidate)
    before = _by_case(evaluation.baseline) if evaluation.baseline is not None else {}
    for one in evaluation.seen:
        trials, others = after.get(one.id, []), before.get(one.id, [])
        yield {
            "id": one.id,
            "cluster": one.cluster,
            "tags": one.case.tags,
            "status": _status(trials),
            "candidate": _values(verdicts, one.id),
            "baseline": _values(verdicts, one.id, before=True) if evaluation.baseline is not None else None,
            "costUsd": _total_cost(trials),
            "durationMs": _mean_duration(trials),
            "baselineCostUsd": _total_cost(others),
            "baselineDurationMs": _mean_duration(others),
        }


def _values(verdicts: Sequence[ScorerVerdict], case: str, *, before: bool = False) -> dict[str, float]:
    of = ((one.ready.title, one.baseline if before else one.values) for one in verdicts)
    return {title: values[case] for title, values in of if case in values}


def _flips(evaluation: Evaluation, verdicts: Sequence[ScorerVerdict]) -> Iterator[Document]:
    if evaluation.baseline is None:
        return
    after, before = _by_case(evaluation.candidate), _by_case(evaluation.baseline)
    reasons = {(row.title, row.case): row.score.reason for row in evaluation.candidate.scores.rows}
    for verdict in verdicts:
        least = FLIP.get(verdict.ready.kind)
        if least is None:
            continue
        for one in evaluation.seen:
            new, old = verdict.values.get(one.id), verdict.baseline.get(one.id)
            if new is None or old is None or abs(new - old) < least:
                continue
            trials = (before[one.id][0], after[one.id][0])
            yield {
                "id": one.id,
                "scorer": verdict.ready.title,
                "direction": "worse" if new < old else "better",
                "tags": one.case.tags,
                "input": clipped(one.case.input),
                "expected": clipped(one.case.expected),
                "reason": clipped(reasons.get((verdict.ready.title, one.id), "")),
                "baseline": side_document(trials[0]),
                "candidate": side_document(trials[1]),
                "difference": [
                    change.as_document()
                    for change in artifact_changes(trials[0].output, trials[1].output, evaluation.plan.spec.diff)
                ],
            }


def _slices(evaluation: Evaluation, verdicts: Sequence[ScorerVerdict]) -> list[Document]:
    """Tags by themselves, against production, with Holm's correction over all that were looked at."""
    if evaluation.baseline is None:
        return []
    tags = {one.id: set(one.case.tags) for one in evaluation.seen}
    found: list[Document] = []
    for verdict in verdicts:
        if verdict.use.margin is None or verdict.ready.kind == "measure":
            continue
        pairs = pairs_of(verdict.ready, evaluation)
        for tag in sorted({tag for names in tags.values() for tag in names}):
            inside = [pair for pair in pairs if tag in tags[pair.unit]]
            if len(inside) >= SMALLEST_SLICE:
                found.append(_slice(tag, verdict.ready.title, inside))
    corrected = holm([one["pValue"] for one in found]) if found else []
    return [{**one, "pHolm": p} for one, p in zip(found, corrected, strict=True)]


def _slice(tag: str, title: str, pairs: Sequence[Pair]) -> Document:
    differences = [pair.candidate - pair.baseline for pair in pairs]
    return {
        "tag": tag,
        "scorer": title,
        "n": len(pairs),
        "difference": math.fsum(differences) / len(differences),
        "pValue": sign_flip_p_value(differences),
    }


def _cost(evaluation: Evaluation) -> Document:
    after, before = evaluation.candidate, evaluation.baseline
    return {
        "candidateUsd": _total_cost(after.measured.trials),
        "baselineUsd": _total_cost(before.measured.trials) if before is not None else None,
        "ratio": _ratio(evaluation, lambda trials: _total_cost(trials)),
    }


def _latency(evaluation: Evaluation) -> Document:
    document: Document = {"ratio": _ratio(evaluation, _mean_duration)}
    for name, side in evaluation.sides.items():
        durations = sorted(trial.duration_ms for trial in side.measured.trials)
        document[f"{name}P50Ms"] = _percentile(durations, 0.50)
        document[f"{name}P95Ms"] = _percentile(durations, 0.95)
    return document


def _ratio(evaluation: Evaluation, of: Any) -> Document | None:
    """How much more the candidate takes, case by case, with an interval; None where a side has nothing to compare."""
    if evaluation.baseline is None:
        return None
    after, before = _by_case(evaluation.candidate), _by_case(evaluation.baseline)
    pairs = []
    for one in evaluation.seen:
        new, old = of(after.get(one.id, [])), of(before.get(one.id, []))
        if new and old:
            pairs.append(Pair(unit=one.id, cluster=one.cluster, baseline=old, candidate=new))
    if len(pairs) < 2:
        return None
    found = compare_ratio(pairs, max_rise=UNASKED, alpha=ALPHA)
    return {"value": found.ratio, "lower": found.lower, "upper": found.upper, "n": len(pairs)}


def _run(evaluation: Evaluation) -> Document:
    sides = evaluation.sides.values()
    return {
        "repeats": evaluation.plan.spec.repeats,
        "cases": len(evaluation.seen),
        "planned": len(evaluation.plan.cases.cases),
        "available": evaluation.plan.cases.available,
        "trials": sum(len(side.measured.trials) for side in sides),
        "made": sum(side.measured.made for side in sides),
        "reused": sum(side.measured.reused for side in sides),
        "seconds": round(evaluation.seconds, 3),
        "costUsd": evaluation.cost_usd,
        "stopped": evaluation.stopped,
        "stoppedEarly": evaluation.stopped_early,
    }


def _by_case(side: Side) -> Mapping[str, list[Trial]]:
    return side.measured.by_case


def _status(trials: Sequence[Trial]) -> str:
    failed = [trial for trial in trials if not trial.finished]
    return failed[0].status if failed else "finished" if trials else "errored"


def _total_cost(trials: Sequence[Trial]) -> float | None:
    costs = [trial.cost_usd for trial in trials]
    known = [cost for cost in costs if cost is not None]
    return math.fsum(known) if trials and len(known) == len(costs) else None


def _mean_duration(trials: Sequence[Trial]) -> float | None:
    return math.fsum(trial.duration_ms for trial in trials) / len(trials) if trials else None


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """By nearest rank, as the SLOs are judged."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None

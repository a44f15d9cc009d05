"""Calibration: how far a judge agrees with what people said of the same answers."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from penstock.contracts.canonical import digest
from penstock.contracts.dataset import Case
from penstock.contracts.release import Release
from penstock.errors import Invalid, Unavailable
from penstock.scoring.scorer import Kind, ScorerFailed, Value
from penstock.scoring.scorer_set import ReadyScorer
from penstock.scoring.statistics.agreement import cohen_kappa, krippendorff_alpha
from penstock.scoring.trial import Trial, TrialKey

HALF = 0.5
AT_ONCE = 8

Statistic = Literal["kappa", "alpha"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Agreement of a judge with people beyond chance, -1 to 1, with a 95 % interval.

    `value` None = not defined, for the reason in `why`. `n` answers were judged; `failed` says of the others why not.
    `confusion` counts, for each word that people said, what the judge said.
    """

    statistic: Statistic
    value: float | None
    lower: float | None
    upper: float | None
    n: int
    confusion: dict[str, dict[str, int]] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    why: str = ""

    def as_document(self) -> dict[str, Any]:
        """The calibration as a JSON object."""
        return {
            "statistic": self.statistic,
            "value": self.value,
            "lower": self.lower,
            "upper": self.upper,
            "n": self.n,
            "confusion": self.confusion or None,
            "failed": list(self.failed),
            "why": self.why,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Calibration":
        """Reads what `as_document` wrote."""
        fields = {name: document[name] for name in ("statistic", "value", "lower", "upper", "n", "why")}
        return cls(**fields, confusion=document["confusion"] or {}, failed=tuple(document["failed"]))


async def calibrate(ready: ReadyScorer, labelled: Sequence[Case], release: Release) -> Calibration:
    """Has the judge score every labelled answer, and compares: words and yes/no by kappa, numbers by alpha.

    Where people said yes or no and the judge gives a grade, above one half is yes. `release` is the candidate, whose
    model the judge must not share. Raises `ScorerFailed` where there is nothing to compare or the labels are of another
    type than the scores, and what `ReadyScorer.score` raises beyond that.
    """
    cases = [case for case in labelled if "answer" in case.model_fields_set and case.label is not None]
    statistic = _statistic(ready, [case.label for case in cases if case.label is not None])
    gate = asyncio.Semaphore(AT_ONCE)

    async def judged(case: Case) -> Value | ScorerFailed | Unavailable:
        async with gate:
            try:
                return (await ready.score(case, _labelled_trial(case, release), release)).value
            except (ScorerFailed, Unavailable) as error:
                return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(judged(case)) for case in cases]
    values = [_available(task.result()) for task in tasks]
    failed = tuple(value.what for value in values if isinstance(value, ScorerFailed))
    said = [
        (case.label, value) for case, value in zip(cases, values, strict=True) if not isinstance(value, ScorerFailed)
    ]
    if not said:
        raise ScorerFailed(f"the judge judged no labelled answer: {failed[0]}", where=ready.use.scorer)
    return _compared(statistic, said, failed)


def _available(value: Value | ScorerFailed | Unavailable) -> Value | ScorerFailed:
    if isinstance(value, Unavailable):
        raise value
    return value


def _statistic(ready: ReadyScorer, labels: Sequence[Value]) -> Statistic:
    """How these labels and such scores are compared; raises `ScorerFailed` where they cannot be."""
    where, now = f"datasets/{ready.use.calibration}", "label every answer in the way in which the scorer answers"
    if not labels:
        raise ScorerFailed("no case has an answer and a label", where=where, now=now)
    words = all(isinstance(label, str) for label in labels)
    verdicts = all(isinstance(label, bool) for label in labels)
    grades = all(isinstance(label, int | float) and not isinstance(label, bool) and 0 <= label <= 1 for label in labels)
    fitting: dict[Kind, bool] = {"assertion": verdicts, "label": words, "score": verdicts or grades}
    if not fitting.get(ready.kind, False):
        wanted = {"assertion": "true or false", "label": "words", "score": "numbers from 0 to 1, or true or false"}
        what = f"scorer {ready.title} is a {ready.kind}: labels must all be {wanted.get(ready.kind, 'something else')}"
        raise ScorerFailed(what, where=where, now=now)
    return "alpha" if grades else "kappa"


def _compared(statistic: Statistic, said: Sequence[tuple[Any, Value]], failed: tuple[str, ...]) -> Calibration:
    people = [label for label, _ in said]
    judge = [value > HALF if isinstance(label, bool) and isinstance(value, float) else value for label, value in said]
    confusion = _confusion(people, judge) if statistic == "kappa" else {}
    try:
        if statistic == "kappa":
            found = cohen_kappa(people, judge)
        else:
            found = krippendorff_alpha([float(one) for one in people], [float(one) for one in judge])
    except Invalid as error:
        return Calibration(
            statistic=statistic,
            value=None,
            lower=None,
            upper=None,
            n=len(said),
            confusion=confusion,
            failed=failed,
            why=error.what,
        )
    return Calibration(
        statistic=statistic,
        value=found.value,
        lower=found.lower,
        upper=found.upper,
        n=found.units,
        confusion=confusion,
        failed=failed,
    )


def _confusion(people: Sequence[Value], judge: Sequence[Value]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for label, value in zip(people, judge, strict=True):
        row = table.setdefault(_word(label), {})
        row[_word(value)] = row.get(_word(value), 0) + 1
    return table


def _word(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _labelled_trial(case: Case, release: Release) -> Trial:
    """The labelled answer as if a run had given it: it was none, so it costs and calls nothing."""
    written = case.model_dump(mode="json", by_alias=True, exclude_unset=True)
    key = TrialKey(release.digest, digest(written), 0, digest({"labelled": True}))
    return Trial(key=key, run_id="", runtime="", status="finished", output=case.answer, failure=None)

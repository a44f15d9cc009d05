"""The scoring pass: every scorer over every trial; a score that is known is neither computed nor paid again."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from penstock.contracts.canonical import digest, digest_bytes
from penstock.contracts.dataset import Case
from penstock.contracts.release import Release
from penstock.errors import PenstockError, Unavailable
from penstock.scoring.case_set import EvalCase
from penstock.scoring.engine_judge import EngineJudge
from penstock.scoring.group_commit import GroupCommit
from penstock.scoring.measured import Bounds, Measured, Problem
from penstock.scoring.progress import Progress
from penstock.scoring.scorer import JudgeDoor, Score, Scorer
from penstock.scoring.trial import Trial
from penstock.store.clock import now
from penstock.store.trials import ScoreRow as StoredRow
from penstock.store.trials import Trials


class Scoring(Protocol):
    """A scorer with its parameters (`scoring.scorer_set.ReadyScorer`); `digest` names both, and the judge."""

    @property
    def title(self) -> str:
        """What reports call it, unique in its suite."""
        ...

    @property
    def scorer(self) -> Scorer:
        """The scorer itself."""
        ...

    @property
    def digest(self) -> str:
        """What a score depends on besides case and trial."""
        ...

    @property
    def judge(self) -> JudgeDoor | None:
        """Whom it asks; None = nobody."""
        ...

    @property
    def own_files(self) -> tuple[str, ...]:
        """The project's own code that it runs, which takes as long as it likes."""
        ...

    async def score(self, case: Case, trial: Trial, release: Release, against: Trial | None = None) -> Score:
        """What it saw; raises `ScorerFailed` when it cannot say."""
        ...


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One score: of the scorer `title`, on the case `EvalCase.id`, of that repeat."""

    title: str
    case: str
    repeat: int
    score: Score


@dataclass(slots=True)
class Scores:
    """What the scorers saw, in the order of the trials; a score that is missing is a problem, never a row."""

    rows: list[ScoreRow]
    problems: list[Problem]
    made: int = 0
    reused: int = 0
    stopped: str | None = None

    def joined(self, more: "Scores") -> "Scores":
        """These and those of other cases."""
        return Scores(
            [*self.rows, *more.rows],
            [*self.problems, *more.problems],
            self.made + more.made,
            self.reused + more.reused,
            self.stopped or more.stopped,
        )


async def score_all(
    measured: Measured,
    cases: Sequence[EvalCase],
    scorers: Sequence[Scoring],
    release: Release,
    bounds: Bounds,
    store: Trials,
    *,
    against: Measured | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Every scorer over every trial of `measured`; a pairwise one sees the trial of `against` too.

    Judges are paced and paid by `bounds`; once its budget is used up, those that ask one are left out, once its time
    is used up those with own code too, and `stopped` says so. Raises `Unavailable` when scores cannot be kept, and what
    cancels it; what was made until then is kept.
    """
    for scorer in scorers:
        if isinstance(scorer.judge, EngineJudge) and scorer.judge.bounds is None:
            scorer.judge.bounds = bounds
    tasks = list(_tasks(measured, cases, scorers, against))
    keys = [task.key for task in tasks]
    known = {key: _score(one) for key, one in (await asyncio.to_thread(store.find_scores, keys)).items()}
    writer: GroupCommit[StoredRow] = GroupCommit(store.put_scores)
    scoring = _Scoring(release, bounds, writer, known)
    try:
        if progress is not None and len(known) < len(tasks):
            progress.note(f"scoring {len(measured.trials)} trials by {len(scorers)} scorers, {len(known)} are known")
        await scoring.run_all([task for task in tasks if task.key not in known])
    finally:
        await writer.close()
    return scoring.outcome(tasks)


@dataclass(frozen=True, slots=True)
class _Task:
    scorer: Scoring
    case: EvalCase
    trial: Trial
    against: Trial | None
    key: str


def _tasks(
    measured: Measured, cases: Sequence[EvalCase], scorers: Sequence[Scoring], against: Measured | None
) -> Iterator[_Task]:
    for case in cases:
        others = {one.key.repeat: one for one in against.by_case.get(case.id, ())} if against is not None else {}
        for trial in measured.by_case.get(case.id, ()):
            other = others.get(trial.key.repeat)
            seen, other_seen = _seen(trial), _seen(other) if other is not None else None
            for scorer in scorers:
                beside = other if scorer.scorer.is_pairwise else None
                parts = [case.digest, seen, scorer.digest, other_seen if beside is not None else None]
                yield _Task(scorer, case, trial, beside, digest(parts))


def _seen(trial: Trial) -> str:
    """The digest of all that a scorer may look at; of any one writer's bytes, since it names rows and no evidence."""
    document = trial.as_document()
    del document["runId"], document["at"]
    return digest_bytes(orjson.dumps(document, option=orjson.OPT_SORT_KEYS))


@dataclass(slots=True)
class _Scoring:
    release: Release
    bounds: Bounds
    writer: GroupCommit[StoredRow]
    scores: dict[str, Score]
    problems: dict[str, str] = field(default_factory=dict)
    made: int = 0
    refusal: str | None = None
    broken: Unavailable | None = None

    async def run_all(self, tasks: Sequence[_Task]) -> None:
        """Scores, `concurrency` at once; raises `Unavailable`, and what cancels it."""
        left = iter({task.key: task for task in tasks}.values())
        workers = [asyncio.create_task(self._work(left)) for _ in range(min(self.bounds.concurrency, len(tasks)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if self.broken is not None:
            raise self.broken

    def outcome(self, tasks: Sequence[_Task]) -> Scores:
        """What came of it, in the order of the tasks."""
        scores = Scores([], [], self.made)
        unmade = 0
        for task in tasks:
            repeat, score = task.trial.key.repeat, self.scores.get(task.key)
            if score is not None:
                scores.rows.append(ScoreRow(task.scorer.title, task.case.id, repeat, score))
                continue
            what = self.problems.get(task.key)
            unmade += what is None
            told = f"{task.scorer.title}: {what or f'not scored: {self.refusal}'}"
            scores.problems.append(Problem(task.case.id, repeat, told, task.scorer.title))
        scores.reused = len(scores.rows) - self.made
        if unmade:
            scores.stopped = f"{self.refusal}: {unmade} of {len(tasks)} scores were not made"
        return scores

    async def _work(self, left: Iterator[_Task]) -> None:
        for task in left:
            if self.broken is not None or self.writer.problem is not None:
                return
            if self._must_leave_out(task.scorer):
                continue
            await self._score(task)

    def _must_leave_out(self, scorer: Scoring) -> bool:
        """Whether the budget has nothing left for it: judges take money and time, own code (it may hang) takes time."""
        budget = self.bounds.budget
        if scorer.judge is None and not (scorer.own_files and budget.remaining_s == 0):
            return False
        self.refusal = self.refusal or budget.refusal()
        return self.refusal is not None

    async def _score(self, task: _Task) -> None:
        try:
            score = await task.scorer.score(task.case.case, task.trial, self.release, task.against)
        except Unavailable as error:  # the next score would meet it as well
            self.broken = self.broken or error
            return
        except Exception as error:
            told = isinstance(error, PenstockError)
            self.problems[task.key] = str(error) if told else f"{type(error).__name__}: {error}"
            return
        self.made += 1
        self.scores[task.key] = score
        self.writer.add((task.key, now(), _document(score)))


def _document(score: Score) -> dict[str, Any]:
    return {"value": score.value, "reason": score.reason, "details": dict(score.details), "costUsd": score.cost_usd}


def _score(document: dict[str, Any]) -> Score:
    return Score(document["value"], document["reason"], document["details"], document["costUsd"])

"""The harness: every case through a subject as often as asked, bounded, resumable; what was made is kept in groups.

A trial that was made in the last 24 hours is found, not made again; that is also how a run that was killed goes on.
Totals are always those of the trials themselves.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from penstock.errors import PenstockError, Unavailable
from penstock.scoring.budget import Budget
from penstock.scoring.case_set import EvalCase
from penstock.scoring.group_commit import GroupCommit
from penstock.scoring.measured import Bounds, Measured, Problem
from penstock.scoring.progress import Progress
from penstock.scoring.scoring_pass import Scores, score_all
from penstock.scoring.subject import Subject
from penstock.scoring.trial import Trial
from penstock.store.clock import moment
from penstock.store.trials import TrialRow, Trials

__all__ = ["Bounds", "Budget", "Measured", "Problem", "Scores", "measure", "score_all"]

LONGEST_H = 24.0
"""Age in hours up to which a trial is reused, so that candidate and baseline are of one day."""


async def measure(
    subject: Subject,
    cases: Sequence[EvalCase],
    bounds: Bounds,
    store: Trials,
    *,
    progress: Progress | None = None,
    fresh: bool = False,
) -> Measured:
    """Every case `bounds.repeats` times, in the order given; `fresh` = nothing is reused.

    A run without evidence (its model failed, it was refused a place) is a problem of its case. Raises `Unavailable`
    when runs or rows cannot be kept, and what cancels it; what was made until then is kept.
    """
    wanted = [
        _Wanted(case, repeat, subject.key(case, repeat).digest) for case in cases for repeat in range(bounds.repeats)
    ]
    found = {} if fresh else await _found(wanted, store)
    writer: GroupCommit[TrialRow] = GroupCommit(store.put)
    measuring = _Measuring(subject, bounds, writer, progress, found)
    try:
        measuring.begin(wanted)
        await measuring.run_all()
    finally:
        await writer.close()
    return measuring.outcome(wanted)


@dataclass(frozen=True, slots=True)
class _Wanted:
    case: EvalCase
    repeat: int
    key: str


async def _found(wanted: Sequence[_Wanted], store: Trials) -> dict[str, Trial]:
    """The trials that are there, by key: of the last day, and evidence."""
    since = moment((datetime.now(UTC) - timedelta(hours=LONGEST_H)).isoformat())
    documents = await asyncio.to_thread(store.find, [one.key for one in wanted], since)
    trials = {key: Trial.from_document(document) for key, document in documents.items()}
    return {key: trial for key, trial in trials.items() if trial.is_evidence}


@dataclass(slots=True)
class _Measuring:
    """One side being measured."""

    subject: Subject
    bounds: Bounds
    writer: GroupCommit[TrialRow]
    progress: Progress | None
    trials: dict[str, Trial]
    problems: dict[str, str] = field(default_factory=dict)
    made: int = 0
    refusal: str | None = None
    broken: Unavailable | None = None
    _left: Iterator[_Wanted] = field(default_factory=lambda: iter(()))
    _missing: int = 0

    def begin(self, wanted: Sequence[_Wanted]) -> None:
        """Settles what is to be run; equal keys are one run."""
        missing = {one.key: one for one in wanted if one.key not in self.trials}
        self._left, self._missing = iter(missing.values()), len(missing)
        budget = self.bounds.budget
        budget.planned += len(wanted)
        budget.ended += len(wanted) - len(missing)
        if self.progress is not None:
            self._tell()
            if self.trials:
                self.progress.note(f"{self.subject.title}: {len(self.trials)} trials of the last day are reused")

    async def run_all(self) -> None:
        """Runs what is missing, `concurrency` at once; raises `Unavailable`, and what cancels it."""
        count = min(self.bounds.concurrency, self._missing)
        workers = [asyncio.create_task(self._work()) for _ in range(count)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if self.broken is not None:
            raise self.broken

    def outcome(self, wanted: Sequence[_Wanted]) -> Measured:
        """What came of it, in the order of the cases."""
        measured = Measured([], [], self.made, 0, None)
        unrun = 0
        for one in wanted:
            trial = self.trials.get(one.key)
            if trial is not None:
                measured.trials.append(trial)
                measured.by_case.setdefault(one.case.id, []).append(trial)
                continue
            what = self.problems.get(one.key)
            unrun += what is None
            measured.problems.append(Problem(one.case.id, one.repeat, what or f"not run: {self.refusal}"))
        measured.reused = len(measured.trials) - self.made
        if unrun:
            measured.stopped = f"{self.refusal}: {unrun} of {len(wanted)} runs of {self.subject.title} were not made"
            if self.progress is not None:
                self.progress.note(measured.stopped)
        return measured

    async def _work(self) -> None:
        pacing, budget = self.bounds.budget.pacing(self.bounds.pace), self.bounds.budget
        for one in self._left:
            if self._must_stop():
                return
            admission = await pacing.admit(self.subject.model, budget.remaining_s)
            if admission is None:
                self.refusal = self.refusal or f"the budget of {budget.minutes:g} minutes is too short for the pace"
                return
            trial: Trial | None = None
            try:
                if self._must_stop():
                    return
                trial = await self._run(one)
            finally:
                calls, tokens = (trial.model_calls, _tokens(trial)) if trial is not None else (0, 0)
                admission.settle(calls, tokens)

    def _must_stop(self) -> bool:
        if self.broken is not None or self.writer.problem is not None:
            return True
        self.refusal = self.refusal or self.bounds.budget.refusal()
        return self.refusal is not None

    async def _run(self, one: _Wanted) -> Trial | None:
        try:
            trial = await self.subject.run(one.case, one.repeat)
        except Unavailable as error:  # nothing can be run or kept: the next run would meet it as well
            self.broken = self.broken or error
            return None
        except Exception as error:
            self._miss(one, str(error) if isinstance(error, PenstockError) else f"{type(error).__name__}: {error}")
            return None
        self.bounds.budget.spend(trial.cost_usd)
        if trial.is_evidence:
            self.made += 1
            self.trials[one.key] = trial
            self.writer.add((one.key, trial.key.release, trial.at, trial.as_document()))
            self._advance()
        else:
            failure = trial.failure or {"what": f"the run ended as {trial.status}"}
            self._miss(one, str(failure["what"]))
        return trial

    def _miss(self, one: _Wanted, what: str) -> None:
        self.problems[one.key] = what
        self.bounds.budget.problems += 1
        self._advance()

    def _advance(self) -> None:
        self.bounds.budget.ended += 1
        if self.progress is not None:
            self._tell()

    def _tell(self) -> None:
        budget = self.bounds.budget
        if self.progress is not None:
            self.progress.advanced(budget.ended, budget.planned, budget.spent_usd, budget.problems)


def _tokens(trial: Trial) -> int:
    return trial.prompt_tokens + trial.completion_tokens

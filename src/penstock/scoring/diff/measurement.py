"""Measures both sides of a comparison: the candidate as often as asked, production once more for its noise floor."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from penstock.scoring.case_set import EvalCase
from penstock.scoring.diff.pair import TrialPair, pair_up
from penstock.scoring.harness import Bounds, measure
from penstock.scoring.measured import Measured, Problem
from penstock.scoring.progress import Progress
from penstock.scoring.subject import Subject
from penstock.store.trials import Trials


@dataclass(slots=True)
class Comparison:
    """The pairs that were made, and what is missing by side; `stopped` = why runs were left out."""

    pairs: list[TrialPair] = field(default_factory=list)
    problems: list[tuple[str, Problem]] = field(default_factory=list)
    made: int = 0
    reused: int = 0
    stopped: str | None = None

    def take(self, side: str, measured: Measured) -> None:
        """Counts one side's measuring in."""
        self.problems += [(side, problem) for problem in measured.problems]
        self.made += measured.made
        self.reused += measured.reused
        self.stopped = self.stopped or measured.stopped

    def joined(self, more: "Comparison") -> "Comparison":
        """These pairs and those of other cases."""
        return Comparison(
            [*self.pairs, *more.pairs],
            [*self.problems, *more.problems],
            self.made + more.made,
            self.reused + more.reused,
            self.stopped or more.stopped,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """How both sides are measured; what `store` has of the last day is not run again."""

    bounds: Bounds
    store: Trials
    progress: Progress | None = None

    async def both(
        self, candidate: Subject, baseline: Subject, cases: Sequence[EvalCase], *, repeats: int, baseline_repeats: int
    ) -> tuple[Measured, Measured]:
        """Candidate and baseline at once, sharing the concurrency, so that both see the same hour and load.

        Raises `Unavailable` when trials cannot be kept, and what else ends a measuring; the other side ends with it.
        """
        half = max(1, self.bounds.concurrency // (2 if baseline_repeats else 1))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._measure(subject, cases, times, half))
                    for subject, times in ((candidate, repeats), (baseline, baseline_repeats))
                ]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return tasks[0].result(), tasks[1].result()

    async def _measure(self, subject: Subject, cases: Sequence[EvalCase], repeats: int, concurrency: int) -> Measured:
        bounds = replace(self.bounds, repeats=repeats, concurrency=concurrency)
        return await measure(subject, cases, bounds, self.store, progress=self.progress)


async def compare_on_cases(
    measuring: Measuring, candidate: Subject, baseline: Subject, cases: Sequence[EvalCase], *, again: bool
) -> Comparison:
    """Both sides on a dataset's cases, as often as the bounds say; with `again` production at least twice."""
    repeats = measuring.bounds.repeats
    least = max(repeats, 2) if again else repeats
    new, old = await measuring.both(candidate, baseline, cases, repeats=repeats, baseline_repeats=least)
    comparison = Comparison(pair_up(cases, old.by_case, new.by_case, repeats))
    comparison.take("candidate", new)
    comparison.take("baseline", old)
    return comparison

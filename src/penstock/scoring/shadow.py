"""Shadow: the same inputs through production's release and another, of which the other answers and changes nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from penstock.contracts.eval_suite import ModelPace
from penstock.contracts.release import Release
from penstock.scoring.budget import Budget
from penstock.scoring.case_set import EvalCase
from penstock.scoring.diff.document import REFUSED
from penstock.scoring.diff.measurement import Comparison, Measuring, compare_on_cases
from penstock.scoring.diff.pair import TrialPair
from penstock.scoring.evaluation import Contender
from penstock.scoring.harness import Bounds
from penstock.scoring.progress import Progress
from penstock.scoring.recorded_run import RecordedRun
from penstock.scoring.rig import Rig
from penstock.scoring.trial import Trial
from penstock.store.trials import MemoryTrials


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowPlan:
    """What is run: `recorded` production runs, and `cases` of datasets where those are too few.

    With `again` production runs on every input too, beside the candidate; without it a recorded run is compared as it
    was recorded.
    """

    candidate: Contender
    baseline: Contender
    recorded: Sequence[RecordedRun]
    cases: Sequence[EvalCase]
    budget: Budget
    concurrency: int
    pace: Mapping[str, ModelPace]
    again: bool = True


@dataclass(frozen=True, slots=True)
class SideEffects:
    """What became of the tool calls of all shadow runs. `called_write` counts writing tools that were really called."""

    refused: int = 0
    from_journal: int = 0
    called_read: int = 0
    called_write: int = 0

    def as_document(self) -> dict[str, int]:
        """The counts as a JSON object."""
        return {
            "refused": self.refused,
            "fromJournal": self.from_journal,
            "calledRead": self.called_read,
            "calledWrite": self.called_write,
        }


async def run_shadow(rig: Rig, plan: ShadowPlan, *, progress: Progress | None = None) -> Comparison:
    """Every input through both releases, no tool that writes being called; raises `Unavailable`, and what cancels it.

    Trials of recorded runs are kept in memory only: what users sent is stored where it can be deleted, and nowhere
    else.
    """
    recorded = await _on_recorded(rig, plan, progress)
    if not plan.cases:
        return recorded
    measuring = Measuring(bounds=_bounds(plan), store=rig.store, progress=progress)
    candidate = rig.subject(plan.candidate.resolved, plan.candidate.runtime, mode="shadow")
    baseline = rig.subject(plan.baseline.resolved, plan.baseline.runtime, mode="shadow")
    more = await compare_on_cases(measuring, candidate, baseline, plan.cases, again=plan.again)
    return recorded.joined(more)


def side_effects(pairs: Iterable[TrialPair], candidate: Release) -> SideEffects:
    """What the candidate's tool calls came to, by the side effects that its tools declare."""
    writing = {tool.name for tool in candidate.tools if tool.spec.side_effects == "write"}
    counted: Counter[str] = Counter()
    for pair in pairs:
        for call in pair.candidate.calls:
            if call.source in {"tool", "fallback"}:  # what stands in for a tool writes no more than that does
                counted["called_write" if call.name in writing else "called_read"] += 1
            elif call.source is not None:
                counted[call.source] += 1
    return SideEffects(counted[REFUSED], counted["journal"], counted["called_read"], counted["called_write"])


async def _on_recorded(rig: Rig, plan: ShadowPlan, progress: Progress | None) -> Comparison:
    """The pairs of the recorded runs: with `again`, of what both releases do now."""
    if not plan.recorded:
        return Comparison()
    cases = [run.case for run in plan.recorded]
    journals = {run.case.id: run.journal for run in plan.recorded}
    measuring = Measuring(bounds=_bounds(plan), store=MemoryTrials(), progress=progress)
    candidate = rig.subject(plan.candidate.resolved, plan.candidate.runtime, mode="shadow", journals=journals)
    baseline = rig.subject(plan.baseline.resolved, plan.baseline.runtime, mode="shadow", journals=journals)
    new, old = await measuring.both(candidate, baseline, cases, repeats=1, baseline_repeats=int(plan.again))
    comparison = Comparison()
    for run in plan.recorded:
        made, before = _first(new.by_case, run.case.id), _first(old.by_case, run.case.id)
        if made is None or (plan.again and before is None):
            continue
        pair = TrialPair(case=run.case.id, source="recorded", candidate=made, baseline=before or run.trial)
        comparison.pairs.append(replace(pair, again=run.trial) if before is not None else pair)
    comparison.take("candidate", new)
    comparison.take("baseline", old)
    return comparison


def _first(trials: Mapping[str, Sequence[Trial]], case: str) -> Trial | None:
    found = trials.get(case, ())
    return found[0] if found else None


def _bounds(plan: ShadowPlan) -> Bounds:
    return Bounds(1, plan.concurrency, plan.pace, plan.budget)


def refused_share(pairs: Sequence[TrialPair]) -> float | None:
    """The share of pairs in which the candidate wanted to write something that production did not; None of no pair.

    On a dataset's case nothing answers a write on either side: a pair in which both were refused does not count.
    """
    if not pairs:
        return None
    return sum(_was_refused(pair.candidate) and not _was_refused(pair.baseline) for pair in pairs) / len(pairs)


def newly_failed(pairs: Sequence[TrialPair]) -> list[TrialPair]:
    """The pairs in which the candidate failed where production finished."""
    return [pair for pair in pairs if pair.baseline.finished and not pair.candidate.finished]


def _was_refused(trial: Trial) -> bool:
    return any(call.source == REFUSED for call in trial.calls)

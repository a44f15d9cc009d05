"""TrialPair: what production and the candidate did with the same input."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from penstock.scoring.case_set import EvalCase
from penstock.scoring.trial import Trial

Source = Literal["recorded", "dataset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPair:
    """One input through both; `again` is production once more on that input, for the noise floor.

    `case` is `EvalCase.id`; `repeat` counts from 0.
    """

    case: str
    baseline: Trial
    candidate: Trial
    again: Trial | None = None
    cluster: str | None = None
    source: Source = "dataset"
    repeat: int = 0


def pair_up(
    cases: Sequence[EvalCase],
    baseline: dict[str, list[Trial]],
    candidate: dict[str, list[Trial]],
    repeats: int = 1,
) -> list[TrialPair]:
    """The pairs of each case and repeat that both sides have, in the order of the cases.

    Trials are by `EvalCase.id`. Production's next repeat is its `again`, so that no trial is compared with itself.
    """
    pairs = []
    for case in cases:
        old = {trial.key.repeat: trial for trial in baseline.get(case.id, ())}
        new = {trial.key.repeat: trial for trial in candidate.get(case.id, ())}
        for repeat in range(repeats):
            if repeat in old and repeat in new:
                pairs.append(
                    TrialPair(
                        case=case.id,
                        cluster=case.cluster,
                        repeat=repeat,
                        baseline=old[repeat],
                        candidate=new[repeat],
                        again=old.get(repeat + 1),
                    )
                )
    return pairs

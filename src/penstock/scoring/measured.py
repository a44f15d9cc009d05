"""What measuring needs and gives: the bounds that it keeps, the trials that it made, and what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.contracts.eval_suite import ModelPace
from penstock.scoring.budget import Budget
from penstock.scoring.trial import Trial


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much and how fast. `concurrency` runs are in flight at once; `pace` is by model name.

    The budget and its pace are shared by all bounds made with the same budget.
    """

    repeats: int
    concurrency: int
    pace: Mapping[str, ModelPace]
    budget: Budget


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is missing: a trial (`scorer` empty) or a score. `case` is `EvalCase.id`, `repeat` from 0."""

    case: str
    repeat: int
    what: str
    scorer: str = ""


@dataclass(slots=True)
class Measured:
    """The trials of one side, in the order of the cases and their repeats; what is missing is a problem each.

    `made` were run now, `reused` were found. `stopped` is one sentence when something was left unrun. `by_case` has the
    same trials by `EvalCase.id`.
    """

    trials: list[Trial]
    problems: list[Problem]
    made: int
    reused: int
    stopped: str | None
    by_case: dict[str, list[Trial]] = field(default_factory=dict)

    def joined(self, more: "Measured") -> "Measured":
        """What was measured of these cases and of others."""
        return Measured(
            [*self.trials, *more.trials],
            [*self.problems, *more.problems],
            self.made + more.made,
            self.reused + more.reused,
            self.stopped or more.stopped,
            {**self.by_case, **more.by_case},
        )

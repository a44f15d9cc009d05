"""How two releases differ in what they did on the same inputs: pair by pair, and all of them together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.contracts.eval_suite import DiffRules
from penstock.scoring.diff.artifact import ArtifactChange, artifact_changes
from penstock.scoring.diff.cost import CostDifference, cost_difference
from penstock.scoring.diff.events import StepChange, aligned_steps, count_ops, sequences_differ
from penstock.scoring.diff.noise_floor import production_floor
from penstock.scoring.diff.pair import TrialPair
from penstock.scoring.diff.slo import SloDifference, slo_difference
from penstock.scoring.trial import Trial

if TYPE_CHECKING:
    from penstock.scoring.statistics.noise import NoiseFloor


@dataclass(frozen=True, slots=True)
class PairDifference:
    """What differs in one pair."""

    pair: TrialPair
    artifact: Sequence[ArtifactChange]
    steps: Sequence[StepChange]

    @property
    def artifact_changed(self) -> bool:
        """Whether the outputs differ; a run without one differs from a run with one."""
        return bool(self.artifact) or self.pair.baseline.finished != self.pair.candidate.finished

    @property
    def steps_changed(self) -> bool:
        """Whether the event sequences differ."""
        return any(step.op != "equal" for step in self.steps)

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.artifact_changed or self.steps_changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDifference:
    """All pairs of two releases; the floors are production against itself, None where it ran once."""

    pairs: Sequence[PairDifference]
    artifact_floor: "NoiseFloor | None"
    events_floor: "NoiseFloor | None"
    cost: CostDifference
    slo: SloDifference

    @property
    def artifacts_changed(self) -> int:
        """In how many pairs the outputs differ."""
        return sum(one.artifact_changed for one in self.pairs)

    @property
    def events_changed(self) -> int:
        """In how many pairs the event sequences differ."""
        return sum(one.steps_changed for one in self.pairs)

    @property
    def artifact_share(self) -> float | None:
        """The share of pairs whose outputs differ; None of no pair."""
        return self.artifacts_changed / len(self.pairs) if self.pairs else None

    @property
    def events_share(self) -> float | None:
        """The share of pairs whose event sequences differ; None of no pair."""
        return self.events_changed / len(self.pairs) if self.pairs else None

    @property
    def changed_paths(self) -> list[tuple[str, int]]:
        """JSON path, positions as `*`, and in how many pairs something changed there; the most first."""
        counted: Counter[str] = Counter()
        for one in self.pairs:
            counted.update({change.pattern for change in one.artifact})
        return sorted(counted.items(), key=lambda found: (-found[1], found[0]))

    @property
    def step_counts(self) -> dict[str, int]:
        """How many steps were moved, missing, added over all pairs."""
        return count_ops(step for one in self.pairs for step in one.steps)

    def counts(self) -> dict[str, Any]:
        """What is not about a single pair, as a JSON object."""
        pairs, floor, artifact_floor = len(self.pairs), self.events_floor, self.artifact_floor
        return {
            "pairs": pairs,
            "artifact": {
                "equal": pairs - self.artifacts_changed,
                "changed": self.artifacts_changed,
                "share": self.artifact_share,
                "noiseFloor": artifact_floor.as_document() if artifact_floor is not None else None,
            },
            "events": {
                "equal": pairs - self.events_changed,
                "changed": self.events_changed,
                "share": self.events_share,
                "noiseFloor": floor.as_document() if floor is not None else None,
                **self.step_counts,
            },
            "cost": self.cost.as_document(),
            "slo": self.slo.as_document(),
        }


def difference_of(pairs: Sequence[TrialPair], rules: DiffRules) -> ReleaseDifference:
    """How the candidates of the pairs differ from their baselines; raises `Invalid` for a rule that is no JSON path."""

    def outputs_differ(one: Trial, other: Trial) -> bool:
        return one.finished != other.finished or bool(artifact_changes(one.output, other.output, rules))

    return ReleaseDifference(
        pairs=[
            PairDifference(
                pair,
                artifact_changes(pair.baseline.output, pair.candidate.output, rules),
                aligned_steps(pair.baseline.steps, pair.candidate.steps),
            )
            for pair in pairs
        ],
        artifact_floor=production_floor(pairs, outputs_differ),
        events_floor=production_floor(pairs, sequences_differ),
        cost=cost_difference(pairs),
        slo=slo_difference(pairs),
    )

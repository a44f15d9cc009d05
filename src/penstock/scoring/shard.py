"""Shard: a part of an evaluation that another process measures into the store that all of them share."""

from dataclasses import dataclass, replace

from penstock.contracts.eval_suite import ModelPace
from penstock.scoring.case_set import CaseSet


@dataclass(frozen=True, slots=True)
class Shard:
    """The `index`-th (from 0) of `of` parts of about equal size."""

    index: int
    of: int

    def cases_of(self, cases: CaseSet) -> CaseSet:
        """Every `of`-th case beginning with `index`."""
        return replace(cases, cases=cases.cases[self.index :: self.of])

    def part_of(self, pace: ModelPace) -> ModelPace:
        """The part of a model's pace that this shard may use: at least one request and one token a minute."""
        parts = {name: None if rate is None else max(1, rate // self.of) for name, rate in pace}
        return pace.model_copy(update=parts)

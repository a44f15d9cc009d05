"""Figures of live runs: durations, costs, and what judges and users said. Of nothing there is no figure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from penstock.errors import Unavailable
from penstock.gates.context import LiveRun

if TYPE_CHECKING:  # a pipeline is checked without the database's library
    from penstock.store.run_scores import RunScore

RATES = ("assertion", "score")
R = TypeVar("R", bound=LiveRun)

# A run that its caller cancelled, or that never started (limit, policy, invalid input), says nothing of the release.
# Neither does an answer out of the cache: nothing was asked for it.
NEUTRAL = frozenset({"cancelled", "rejected"})


class RatedRuns(Protocol):
    """Where scores of online judges and users' words on live runs are kept (`penstock.store.runs.RunStore`)."""

    def live_scores(self, agent: str, release: str, stage: str, since: str) -> "Sequence[RunScore]":
        """What online scorers made of the live runs that started since then, failed and claimed ones too."""
        ...

    def live_ratings(self, agent: str, release: str, stage: str, since: str) -> Sequence[float]:
        """What users said since then, -1 (down) to 1 (up)."""
        ...


@dataclass(frozen=True, slots=True)
class JudgeFigures:
    """What one online scorer saw of the runs: its values in the order in which they were made.

    `missing` runs were chosen and have no score (yet). Values that an older scorer or judge gave are left out: two
    measures have no mean.
    """

    scorer: str
    values: tuple[float, ...]
    missing: int

    @property
    def mean(self) -> float | None:
        """The mean of the values; None where there is none."""
        return math.fsum(self.values) / len(self.values) if self.values else None


def judged(runs: Iterable[R]) -> list[R]:
    """The runs that say something of the release."""
    return [run for run in runs if run.status not in NEUTRAL and not run.is_cached]


def percentile_ms(runs: Sequence[LiveRun], share: float) -> float:
    """The percentile of the durations by nearest rank, milliseconds; raises `Unavailable` where one is not known."""
    durations = sorted(run.duration_ms for run in runs if run.duration_ms is not None)
    if len(durations) < len(runs):
        raise Unavailable(f"{len(runs) - len(durations)} of {len(runs)} live runs have no duration")
    return durations[math.ceil(share * len(durations)) - 1]


def mean_cost_usd(runs: Sequence[LiveRun]) -> float:
    """The mean cost of a run, USD; raises `Unavailable` where one is not known."""
    costs = [run.cost_usd for run in runs if run.cost_usd is not None]
    if len(costs) < len(runs):
        raise Unavailable(
            f"the cost of {len(runs) - len(costs)} of {len(runs)} live runs is not known",
            now="give the model a price: slo.costPerRunUsd cannot be judged without one",
        )
    return math.fsum(costs) / len(costs)


def judge_figures(rows: "Iterable[RunScore]") -> list[JudgeFigures]:
    """The figures of each online scorer that rates (yes or no, or 0 to 1), by name; words and measures have none."""
    by_scorer: dict[str, list[RunScore]] = {}
    for row in rows:
        by_scorer.setdefault(row.scorer, []).append(row)
    found = []
    for scorer, own in sorted(by_scorer.items()):
        scored = [row for row in own if row.state == "scored"]
        if any(row.document.get("kind") not in RATES for row in scored):
            continue
        newest = scored[-1].identity if scored else None
        values = tuple(row.value for row in scored if row.value is not None and row.identity == newest)
        found.append(JudgeFigures(scorer, values, len(own) - len(scored)))
    return found


def share_up(ratings: Sequence[float]) -> float | None:
    """The share of users' words that are above 0; None where nobody said anything."""
    return sum(rating > 0 for rating in ratings) / len(ratings) if ratings else None

"""Figures of stored live runs, computed by the database: counts, latencies, costs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from penstock.store import tables
from penstock.store.clock import moment
from penstock.store.database import Database
from penstock.store.runs import FINAL

HALLUCINATION = "hallucination"
JUDGED = ("finished", "failed", "timed_out")
"""What says something of an agent; a run that its caller cancelled, or that was refused, does not."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Runs of a window that say something of the agent, and those of them that finished."""

    judged: int
    finished: int

    @property
    def failed(self) -> int:
        """Those that did not finish."""
        return self.judged - self.finished


@dataclass(frozen=True, slots=True)
class HourCost:
    """What an agent's runs of one hour cost, as far as it is known; `hour` as 2026-11-20T10."""

    hour: str
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Live runs of a period. What of nothing is None: an average of no run, a cost that is not known of each run.

    `scores` are (how many, their mean) of what online scorers gave in the period, by scorer.
    """

    total: int
    by_status: Mapping[str, int]
    latency_ms: Mapping[str, float | None]
    known_cost_usd: float
    without_price: int
    scores: Mapping[str, tuple[int, float]]

    @property
    def hallucination_rate(self) -> float | None:
        """1 less the mean of the online scorer `hallucination`; None where it scored nothing."""
        found = self.scores.get(HALLUCINATION)
        return 1 - found[1] if found is not None else None

    @property
    def success_rate(self) -> float | None:
        """Share of those that finished, of those that say something of the agent."""
        judged = sum(self.by_status.get(status, 0) for status in JUDGED)
        return self.by_status.get("finished", 0) / judged if judged else None

    @property
    def total_cost_usd(self) -> float | None:
        """USD; None where the price of a run is not known."""
        return None if self.without_price else self.known_cost_usd

    def as_document(self) -> dict[str, Any]:
        """The summary as a JSON object; latencies in milliseconds, costs in USD."""
        total = self.total_cost_usd
        return {
            "totalRequests": self.total,
            "byStatus": dict(self.by_status),
            "successRate": self.success_rate,
            "avgLatency": self.latency_ms["avg"],
            "p50Latency": self.latency_ms["p50"],
            "p95Latency": self.latency_ms["p95"],
            "p99Latency": self.latency_ms["p99"],
            "totalCost": total,
            "avgCostPerRequest": total / self.total if total is not None and self.total else None,
            "knownCost": self.known_cost_usd,
            "runsWithoutPrice": self.without_price,
            "scores": {name: {"n": count, "mean": mean} for name, (count, mean) in self.scores.items()},
            "hallucinationRate": self.hallucination_rate,
            "units": {"latency": "ms", "cost": "USD"},
        }


class RunFigures:
    """Asks the database. Raises `Unavailable` when it fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tallies(self, agent: str, stage: str, sinces: Sequence[str]) -> list[Tally]:
        """For each of these moments (RFC 3339): the live runs of the agent at the stage that started since then."""
        columns = tables.runs.c
        starts = [moment(since) for since in sinces]
        sums = []
        for start in starts:
            judged = and_(columns.started_at >= start, columns.status.in_(JUDGED))
            sums += [_how_many(judged), _how_many(and_(judged, columns.status == "finished"))]
        query = select(*sums).where(_live(agent, min(starts)), columns.stage == stage)
        with self._database.read() as connection:
            found = [int(number) for number in connection.execute(query).one()]
        return [Tally(*found[at : at + 2]) for at in range(0, len(found), 2)]

    def hourly_costs(self, agent: str, stages: Sequence[str], since: str, until: str) -> list[HourCost]:
        """What each hour with live runs at these stages that started in [since, until) cost, oldest first."""
        columns = tables.runs.c
        hour = func.substr(columns.started_at, 1, 13).label("hour")
        query = (
            select(hour, func.coalesce(func.sum(columns.cost_usd), 0.0))
            .where(_live(agent, since), columns.started_at < moment(until), columns.stage.in_(stages))
            .group_by(hour)
            .order_by(hour)
        )
        with self._database.read() as connection:
            return [HourCost(*row) for row in connection.execute(query)]

    def cost_usd(self, agent: str, stages: Sequence[str], since: str) -> float:
        """What the live runs at these stages that started since then cost, as far as it is known."""
        columns = tables.runs.c
        query = select(func.coalesce(func.sum(columns.cost_usd), 0.0)).where(
            _live(agent, since), columns.stage.in_(stages)
        )
        with self._database.read() as connection:
            return float(connection.execute(query).scalar_one())

    def summary(self, since: str, *, agent: str | None = None, stage: str | None = None) -> Summary:
        """All live runs that started since then and are over; percentiles by nearest rank, of those with a duration."""
        columns = tables.runs.c
        wanted = and_(
            _live(agent, since), columns.status.in_(FINAL), *([columns.stage == stage] if stage is not None else [])
        )
        with self._database.read() as connection:
            by_status = select(columns.status, func.count()).where(wanted).group_by(columns.status)
            counts = {str(status): int(count) for status, count in connection.execute(by_status)}
            # A rejected run never began: how quickly it was refused is no latency, and it cost nothing.
            ran = and_(wanted, columns.status != "rejected")
            figures = select(
                func.count(columns.duration_ms),
                func.avg(columns.duration_ms),
                func.coalesce(func.sum(columns.cost_usd), 0.0),
                _how_many(columns.cost_usd.is_(None)),
            )
            timed, average, cost_usd, unpriced = connection.execute(figures.where(ran)).one()
            latency: dict[str, float | None] = {"avg": average}
            for share in (50, 95, 99):
                ranked = select(columns.duration_ms).where(ran, columns.duration_ms.is_not(None))
                at = max(0, math.ceil(share / 100 * timed) - 1)
                latency[f"p{share}"] = connection.scalar(ranked.order_by(columns.duration_ms).offset(at).limit(1))
            scores = self._scores(connection, since, agent, stage)
        return Summary(sum(counts.values()), counts, latency, float(cost_usd), int(unpriced), scores)

    def _scores(
        self, connection: Connection, since: str, agent: str | None, stage: str | None
    ) -> dict[str, tuple[int, float]]:
        columns = tables.run_scores.c
        query = (
            select(columns.scorer, func.count(columns.value), func.avg(columns.value))
            .where(columns.state == "scored", columns.value.is_not(None), columns.at >= moment(since))
            .group_by(columns.scorer)
            .order_by(columns.scorer)
        )
        for column, wanted in ((columns.agent, agent), (columns.stage, stage)):
            if wanted is not None:
                query = query.where(column == wanted)
        return {str(scorer): (int(count), float(mean)) for scorer, count, mean in connection.execute(query)}


def _live(agent: str | None, since: str) -> ColumnElement[bool]:
    columns = tables.runs.c
    own = [columns.agent == agent] if agent is not None else []
    return and_(*own, columns.mode == "live", columns.started_at >= moment(since))


def _how_many(condition: ColumnElement[bool]) -> Any:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

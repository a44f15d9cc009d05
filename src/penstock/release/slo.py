"""What agents promise beside what their live runs show: the release that stands at each stage, over the last hours."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from penstock.contracts.agent import Slo
from penstock.contracts.eval_suite import Online
from penstock.contracts.operations_alerts import DEFAULT_ALERTS, Alerts, BurnRate
from penstock.contracts.policy import Stage
from penstock.contracts.release import Release
from penstock.contracts.routing_table import AgentRoutes, Entry, RoutingTable
from penstock.errors import Unavailable
from penstock.gates.live_figures import judge_figures, judged, mean_cost_usd, percentile_ms
from penstock.release.burn_rate import Burn, ErrorBudget, burns, error_budget
from penstock.scoring.online import Coverage, coverage
from penstock.scoring.statistics.betting import betting_test
from penstock.store.database import Database
from penstock.store.run_figures import RunFigures
from penstock.store.run_scores import RunScoreStore
from penstock.store.runs import RunRow, RunStore

Outcome = Literal["met", "missed", "no data"]
BATCHES = 1_000
"""An interval is made of at most so many means of equally many values each: it stays valid, and quick to find."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One figure beside its limit; `value` None = not known, and `why`. Without a limit nothing was promised."""

    name: str
    value: float | None
    limit: float | None
    outcome: Outcome | None
    why: str = ""

    def as_document(self) -> dict[str, Any]:
        """The promise as a JSON object."""
        return {"value": self.value, "limit": self.limit, "outcome": self.outcome, "why": self.why}


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of values from 0 to 1 with its interval, two-sided at 95 %; `n` 0 = nobody said anything."""

    n: int
    mean: float | None
    lower: float | None
    upper: float | None

    def as_document(self) -> dict[str, Any]:
        """The mean as a JSON object."""
        return {"n": self.n, "mean": self.mean, "lower": self.lower, "upper": self.upper}


@dataclass(frozen=True, slots=True, kw_only=True)
class SloRow:
    """One release at one stage. `coverage` is empty where the suite does not say `online`."""

    agent: str
    version: str
    stage: Stage
    release: str
    runs: int
    neutral: int
    promises: tuple[Promise, ...]
    judges: Mapping[str, Mean]
    coverage: tuple[Coverage, ...]
    feedback: Mean
    budget: ErrorBudget
    burns: tuple[Burn, ...]

    @property
    def outcome(self) -> Outcome:
        """Missed if a promise is, no data if nothing is known of one, else met."""
        found = {promise.outcome for promise in self.promises}
        return "missed" if "missed" in found else "no data" if "no data" in found else "met"

    def as_document(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return {
            "agent": self.agent,
            "version": self.version,
            "stage": self.stage,
            "release": self.release,
            "outcome": self.outcome,
            "runs": self.runs,
            "neutral": self.neutral,
            "slo": {promise.name: promise.as_document() for promise in self.promises},
            "judges": {name: mean.as_document() for name, mean in self.judges.items()},
            "coverage": [one.as_document() for one in self.coverage],
            "feedback": self.feedback.as_document(),
            "errorBudget": self.budget.as_document(),
            "burnRates": [one.as_document() for one in self.burns],
        }


def slo_rows(
    database: Database,
    table: RoutingTable,
    releases: Callable[[str], Release],
    onlines: Mapping[str, Online],
    since: str,
    *,
    agent: str | None = None,
    stage: Stage | None = None,
    alerts: Alerts = DEFAULT_ALERTS,
) -> Iterator[SloRow]:
    """What stands in canary and prod (or at `stage`) by the table in force, with its live runs since then (RFC 3339).

    `onlines` are the agents whose suites score live runs; `alerts` say which burn rates are looked at. Error budget and
    burn rates are of all the agent's runs at the stage, whatever version answered. Raises `Unavailable`.
    """
    for name, routes in sorted(table.agents.items()):
        for place, entry in _standing(routes, stage) if agent in {None, name} else ():
            yield _row(database, (name, place, entry), releases(entry.release), onlines.get(name), since, alerts)


def mean_of(values: Sequence[float]) -> Mean:
    """The mean of values from 0 to 1, in an order that does not depend on them, with its interval by betting."""
    if not values:
        return Mean(0, None, None, None)
    size = math.ceil(len(values) / BATCHES)
    batches = [values[start : start + size] for start in range(0, len(values) - size + 1, size)]
    # Betting takes values in [-1, 1]: a value v is 2 v - 1 there.
    means = [2 * math.fsum(batch) / size - 1 for batch in batches]
    found = betting_test([min(max(mean, -1.0), 1.0) for mean in means], margin=1, alpha=0.025)
    mean = math.fsum(values) / len(values)
    return Mean(len(values), mean, min((found.lower + 1) / 2, mean), max((found.upper + 1) / 2, mean))


def _standing(routes: AgentRoutes, stage: Stage | None) -> Iterator[tuple[Stage, Entry]]:
    if stage in {None, "prod"} and routes.prod is not None:
        yield "prod", routes.prod
    if stage in {None, "canary"} and routes.canary is not None:
        yield "canary", routes.canary
    if stage == "dev":
        yield from (("dev", entry) for entry in routes.dev)


def _row(
    database: Database,
    standing: tuple[str, Stage, Entry],
    release: Release,
    online: Online | None,
    since: str,
    alerts: Alerts,
) -> SloRow:
    agent, stage, entry = standing
    runs = RunStore(database)
    of = (agent, entry.release, stage, since)
    rows = runs.live_runs(*of)
    counted = judged(rows)
    store = RunScoreStore(database)
    objective = release.agent.spec.slo.success_rate
    rules = [rule for rule in alerts.rules if isinstance(rule, BurnRate) and rule.applies(agent, stage)]
    figures = RunFigures(database)
    covered = coverage(store, agent, online, since, release=entry.release, stage=stage) if online is not None else []
    return SloRow(
        agent=agent,
        version=entry.version,
        stage=stage,
        release=entry.release,
        runs=len(counted),
        neutral=len(rows) - len(counted),
        promises=tuple(_promises(release.agent.spec.slo, counted)),
        judges={one.scorer: mean_of(one.values) for one in judge_figures(runs.live_scores(*of))},
        coverage=tuple(covered),
        feedback=mean_of([float(rating > 0) for rating in runs.live_ratings(*of)]),
        budget=error_budget(objective, *figures.tallies(agent, stage, [since])),
        burns=tuple(burns(figures, (agent, stage, objective), rules)),
    )


def _promises(slo: Slo, runs: Sequence[RunRow]) -> Iterator[Promise]:
    finished = sum(run.status == "finished" for run in runs)
    yield _promise("successRate", lambda: finished / len(runs), slo.success_rate, runs, least=True)
    yield _promise("p50Ms", lambda: percentile_ms(runs, 0.5), None, runs)
    yield _promise("p95Ms", lambda: percentile_ms(runs, 0.95), slo.p95_ms, runs)
    yield _promise("costPerRunUsd", lambda: mean_cost_usd(runs), slo.cost_per_run_usd, runs)


def _promise(
    name: str, figure: Callable[[], float], limit: float | None, runs: Sequence[RunRow], *, least: bool = False
) -> Promise:
    nothing: Outcome | None = "no data" if limit is not None else None
    if not runs:
        return Promise(name, None, limit, nothing, "no run")
    try:
        value = figure()
    except Unavailable as error:
        return Promise(name, None, limit, nothing, error.what)
    if limit is None:
        return Promise(name, value, None, None)
    missed = value < limit if least else value > limit
    return Promise(name, value, limit, "missed" if missed else "met")

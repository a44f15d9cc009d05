"""AlertWatch: the rules that look at all runs of an agent: burn rates and costs that are out of the usual."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from penstock.contracts.operations_alerts import Alerts, BurnRate, CostAnomaly
from penstock.contracts.release import Release
from penstock.release.burn_rate import burns
from penstock.routing import RoutingTable
from penstock.store.alerts import Alert
from penstock.store.database import Database
from penstock.store.run_figures import RunFigures

USUAL_DAYS = 7


class AlertWatch:
    """Asks the database, for each agent of the table in force. `releases` gives a release by its digest."""

    def __init__(
        self, alerts: Alerts, table: Callable[[], RoutingTable | None], releases: Callable[[str], Release]
    ) -> None:
        self._table = table
        self._releases = releases
        self.use(alerts)

    def use(self, alerts: Alerts) -> None:
        """Looks by these rules from now on."""
        self._burn_rates = [rule for rule in alerts.rules if isinstance(rule, BurnRate)]
        self._anomalies = [rule for rule in alerts.rules if isinstance(rule, CostAnomaly)]

    def look(self, database: Database, now: datetime | None = None) -> Iterator[Alert]:
        """What is out of order now. Raises `Unavailable`."""
        table, at = self._table(), now or datetime.now(UTC)
        figures = RunFigures(database)
        for agent, stage, objective in objectives(table, self._releases) if table is not None else ():
            yield from self._burning(figures, (agent, stage, objective), at)
        for agent in sorted(table.record.agents) if table is not None else ():
            for rule in self._anomalies:
                stages = [stage for stage in rule.stages if rule.applies(agent, stage)]
                alert = cost_anomaly(figures, rule, agent, stages, at) if stages else None
                if alert is not None:
                    yield alert

    def _burning(self, figures: RunFigures, standing: tuple[str, str, float], at: datetime) -> Iterator[Alert]:
        agent, stage, _ = standing
        rules = [rule for rule in self._burn_rates if rule.applies(agent, stage)]
        for rule, burn in zip(rules, burns(figures, standing, rules, at), strict=True):
            if burn.burning:
                assert burn.long.rate is not None
                shares = [f"{one.failed} of {one.runs} runs in {one.length}" for one in (burn.long, burn.short)]
                what = (
                    f"the error budget of {stage} burns {burn.long.rate:.1f} times as fast as it may: "
                    f"failed {', '.join(shares)}"
                )
                facts = {"when": rule.when, "value": round(burn.long.rate, 3), "limit": rule.factor}
                yield Alert(rule.name, agent, rule.severity, what, stage, None, facts)


def objectives(table: RoutingTable, releases: Callable[[str], Release]) -> Iterator[tuple[str, str, float]]:
    """(agent, stage, slo.successRate) of all that stands in prod and canary."""
    for agent, routes in sorted(table.record.agents.items()):
        for stage, entry in (("prod", routes.prod), ("canary", routes.canary)):
            if entry is not None:
                yield agent, stage, releases(entry.release).agent.spec.slo.success_rate


def cost_anomaly(
    figures: RunFigures, rule: CostAnomaly, agent: str, stages: Sequence[str], now: datetime
) -> Alert | None:
    """The alert, if the last 60 minutes cost more than `factor` times the median hour of the 7 days before.

    Hours without a run are left out: an agent that works by day would else have a median of nothing. None also where
    there are too few hours, or the usual one costs nothing.
    """
    begun = now - timedelta(hours=1)
    until = begun.replace(minute=0, second=0, microsecond=0)
    hours = figures.hourly_costs(agent, stages, (until - timedelta(days=USUAL_DAYS)).isoformat(), until.isoformat())
    if len(hours) < rule.least_hours:
        return None
    usual, last = statistics.median(hour.cost_usd for hour in hours), figures.cost_usd(agent, stages, begun.isoformat())
    if usual <= 0 or last <= rule.factor * usual:
        return None
    what = f"the last 60 minutes cost {last:.4f} USD, {last / usual:.1f} times the usual hour of {usual:.4f}"
    facts = {"when": rule.when, "value": round(last, 6), "limit": round(rule.factor * usual, 6)}
    return Alert(rule.name, agent, rule.severity, what, None, None, facts)

"""Comparison: one canary beside prod, from its first step on, and what it is judged by."""

from dataclasses import dataclass

from penstock.contracts.agent import AgentSpec
from penstock.contracts.document import duration_s
from penstock.contracts.pipeline import CanaryAnalysis, LiveMetric, MetricWatch
from penstock.scoring.canary.session import WORDS_S, seconds

LATE_S = 60
"""So long after a run may have ended at the latest, its row is in the database, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`began` and `now` are RFC 3339 times; `prod` None = nothing stands there, so nothing can be compared.

    Both sides are held against the canary's promises.
    """

    analysis: CanaryAnalysis
    canary: AgentSpec
    prod: AgentSpec | None
    began: str
    now: str

    @property
    def window_s(self) -> int:
        """How long after its first run a session is judged, seconds."""
        return duration_s(self.analysis.session_window)

    @property
    def watched(self) -> list[MetricWatch]:
        """The metrics that apply: by what the agent declares, never by what was measured."""
        return [watch for watch in self.analysis.metrics if self._applies(watch.metric)]

    @property
    def alpha(self) -> float:
        """Each metric's part of alpha; those that are watched without acting take none, and are shown at the same."""
        acting = sum(not watch.dry_run for watch in self.watched)
        return self.analysis.alpha / max(acting, 1)

    def counted_until(self, metric: LiveMetric) -> float:
        """Sessions that began up to then (Unix seconds) count: all of their runs that can end have ended by now."""
        longest_ms = max(side.limits.timeout_ms for side in (self.canary, self.prod) if side is not None)
        wait_s = longest_ms / 1000
        if metric == "feedback":
            wait_s = max(wait_s, WORDS_S)
        return seconds(self.now) - self.window_s - wait_s - LATE_S

    def _applies(self, metric: LiveMetric) -> bool:
        slo = self.canary.slo
        if metric == "latency":
            return slo.p95_ms is not None
        if metric == "cost":
            return slo.cost_per_run_usd is not None
        if metric == "toolSuccess":
            return bool(self.canary.tool_refs) and (self.prod is None or bool(self.prod.tool_refs))
        return True

"""Telemetry: all that an executor shows of itself and its runs, put together from the settings."""

from typing import TYPE_CHECKING

from penstock.contracts.operations_alerts import DEFAULT_ALERTS, Alerts
from penstock.engine.alert_rules import RunRules
from penstock.engine.observed_sink import ObservedSink, Observer
from penstock.engine.sink import Sink
from penstock.executor.telemetry.alert_desk import AlertDesk
from penstock.executor.telemetry.alert_teller import AlertTeller
from penstock.executor.telemetry.alert_watch import AlertWatch
from penstock.executor.telemetry.exposition import exposition
from penstock.executor.telemetry.figures import Figures
from penstock.executor.telemetry.run_metrics import RunMetrics
from penstock.executor.telemetry.state_figures import ColdStart, Objectives, state_figures
from penstock.executor.telemetry.trace_exporter import TraceExporter

if TYPE_CHECKING:
    from penstock.executor.executor import Executor


class Telemetry:
    """One executor's. Raises as `TraceExporter` does where `otlp_url` is set."""

    def __init__(self, executor: "Executor") -> None:
        settings, releases = executor.settings, executor.watch.releases.release
        self.run_rules = RunRules(DEFAULT_ALERTS)
        self.metrics = RunMetrics()
        self.cold_start = ColdStart()
        self._watch = AlertWatch(DEFAULT_ALERTS, lambda: executor.watch.current, releases)
        teller = AlertTeller(settings.notify_url)
        self.desk = AlertDesk(DEFAULT_ALERTS, teller, self._watch, lambda: executor.database.database)
        self.traces = TraceExporter(settings.otlp_url) if settings.otlp_url else None
        self._objectives = Objectives(releases)
        self._executor = executor

    def observed(self, sink: Sink) -> Sink:
        """The sink, with everybody who watches in front of it."""
        observers: list[Observer] = [self.metrics, self.desk]
        if self.traces is not None:
            observers.append(self.traces)
        return ObservedSink(sink, observers)

    def use(self, alerts: Alerts) -> None:
        """Goes by these rules from now on."""
        self.run_rules.use(alerts)
        self._watch.use(alerts)
        self.desk.use(alerts)

    def start(self) -> None:
        """Begins to keep alerts and to export; the executor's database is there, open or not."""
        self.desk.start()
        if self.traces is not None:
            self.traces.start()

    def close(self) -> None:
        """Keeps and sends what is left, within bounds; the database must still be open. Blocks."""
        if self.traces is not None:
            self.traces.close()
        self.desk.close()

    def page(self) -> tuple[bytes, str]:
        """The answer of /metrics and its content type; raises `Unavailable` where the library is missing. Blocks."""
        before = self.metrics.flying()  # asked first: what starts meanwhile is in neither
        self.metrics.forget(before - {handle.run_id for handle in self._executor.parts.engine.running})
        return exposition([self.metrics.snapshot(), self._state()])

    def _state(self) -> Figures:
        figures = state_figures(self._executor, self._objectives.of)
        for (rule, severity), count in list(self.desk.recorded.items()):
            figures.add("penstock_alerts_recorded_total", (rule, severity), count)
        figures.add("penstock_alerts_dropped_total", (), self.desk.dropped)
        if self.traces is not None:
            figures.add("penstock_traces_exported_total", (), self.traces.exported)
            for reason in ("queue", "export"):
                figures.add("penstock_traces_dropped_total", (reason,), self.traces.dropped[reason])
        return figures

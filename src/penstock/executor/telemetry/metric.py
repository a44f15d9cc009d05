"""The metrics: each with name, kind, labels, and the formula by which anybody computes it again.

The one table that `/metrics`, the documentation and the tests read. Tenants, users, sessions and runs are never
labels: their number has no bound.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Source = Literal["events", "executor"]

RUN = ("agent", "version", "stage")
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
CALLS = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 50.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `source` events = a fold of the RunEvents of live runs; executor = the state of the process.

    `formula` says what is added or observed by which event, or what the state is. `bounds` are the upper bounds of a
    histogram's buckets. The unit is the end of the name: seconds, bytes, usd; without one it is a number.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    formula: str
    source: Source = "events"
    bounds: tuple[float, ...] = ()

    @property
    def unit(self) -> str:
        """seconds, bytes, USD, or 1 for a plain number."""
        stem = self.name.removesuffix("_total")
        known = {"seconds": "seconds", "bytes": "bytes", "usd": "USD"}
        return known.get(stem.rsplit("_", 1)[1], "1")


_RUNS = (
    Metric(
        "penstock_runs_total",
        "counter",
        (*RUN, "status", "code"),
        "1 for each terminal event: status = the end of its type, code = `error.code` (empty without an error)",
    ),
    Metric(
        "penstock_run_duration_seconds",
        "histogram",
        RUN,
        "`durationMs` / 1000 of the terminal event; not of run.rejected",
        bounds=SECONDS,
    ),
    Metric(
        "penstock_run_ttft_seconds",
        "histogram",
        RUN,
        "time to the first token: `ttftMs` / 1000 of the terminal event, where a model's answer was streamed",
        bounds=SECONDS,
    ),
    Metric(
        "penstock_run_ttlt_seconds",
        "histogram",
        RUN,
        "time to the last token: time of the last llm.finished without an error less that of run.started, at "
        "the terminal event",
        bounds=SECONDS,
    ),
    Metric(
        "penstock_run_model_calls",
        "histogram",
        RUN,
        "`usage.modelCalls` of the terminal event: the loops of a run",
        bounds=CALLS,
    ),
    Metric("penstock_run_tool_calls", "histogram", RUN, "`usage.toolCalls` of the terminal event", bounds=CALLS),
    Metric(
        "penstock_tokens_total",
        "counter",
        (*RUN, "kind"),
        "`usage.promptTokens` (kind prompt) and `usage.completionTokens` (kind completion) of the terminal event",
    ),
    Metric("penstock_cost_usd_total", "counter", RUN, "`usage.costUsd` of the terminal event, where it is known"),
    Metric(
        "penstock_runs_without_price_total",
        "counter",
        RUN,
        "1 for each terminal event whose `usage.costUsd` is null: their cost is missing in penstock_cost_usd_total",
    ),
    Metric(
        "penstock_runs_in_flight",
        "gauge",
        ("agent",),
        "runs with run.started or run.resumed here and neither a terminal event nor run.interrupted since",
    ),
    Metric(
        "penstock_agent_info",
        "gauge",
        ("agent", "team"),
        "1 for each agent with a terminal event; joins the owning team to other metrics",
    ),
)
_CALLS = (
    Metric(
        "penstock_model_calls_total",
        "counter",
        ("agent", "model", "outcome"),
        "1 for each llm.finished: outcome error if it has one, else ok",
    ),
    Metric(
        "penstock_model_call_duration_seconds",
        "histogram",
        ("model",),
        "`durationMs` / 1000 of llm.finished without an error",
        bounds=CALL_SECONDS,
    ),
    Metric("penstock_model_retries_total", "counter", ("agent", "model"), "1 for each llm.retried"),
    Metric(
        "penstock_tool_calls_total",
        "counter",
        ("agent", "tool", "outcome"),
        "1 for each tool.finished (outcome ok) and tool.failed (outcome = `code`); a tool that does not exist"
        " is `unknown`",
    ),
    Metric(
        "penstock_tool_call_duration_seconds",
        "histogram",
        ("tool",),
        "`durationMs` / 1000 of tool.finished and tool.failed",
        bounds=CALL_SECONDS,
    ),
    Metric("penstock_fallbacks_total", "counter", ("agent", "kind"), "1 for each fallback.used, by its `kind`"),
    Metric("penstock_cached_answers_total", "counter", ("agent", "kind"), "1 for each cache.hit, by its `kind`"),
    Metric(
        "penstock_policy_denials_total",
        "counter",
        ("agent", "action"),
        "1 for each policy.decided that is not `allowed`",
    ),
)
_GOVERNED = (
    Metric(
        "penstock_queue_wait_seconds",
        "histogram",
        ("level",),
        "time of run.started less that of the last run.queued of the run, or its acceptedAt",
        bounds=CALL_SECONDS,
    ),
    Metric(
        "penstock_runs_queued",
        "gauge",
        ("level",),
        "runs with a run.queued here and neither run.started nor a terminal event since",
    ),
    Metric(
        "penstock_breaker_open",
        "gauge",
        ("resource",),
        "1 after breaker.opened, 0 after breaker.closed, as this executor saw it last",
    ),
    Metric(
        "penstock_breaker_changes_total",
        "counter",
        ("resource", "state"),
        "1 for each breaker.opened (state open) and breaker.closed (state closed)",
    ),
    Metric(
        "penstock_budget_alerts_total",
        "counter",
        ("scope", "period"),
        "1 for each budget.alerted; scope without what is named after its colon, period = day, month or run",
    ),
    Metric("penstock_run_alerts_total", "counter", ("agent", "rule", "severity"), "1 for each alert.raised"),
)
_EXECUTOR = (
    Metric("penstock_executor_info", "gauge", ("version", "python"), "1", "executor"),
    Metric("penstock_executor_ready", "gauge", (), "1 while /readyz answers 200", "executor"),
    Metric(
        "penstock_executor_cold_start_seconds",
        "gauge",
        (),
        "from the start of the process until it was ready first; absent until then",
        "executor",
    ),
    Metric("penstock_routing_generation", "gauge", (), "the routing table in force; absent without one", "executor"),
    Metric(
        "penstock_routing_table_age_seconds",
        "gauge",
        (),
        "since the release store last confirmed that table",
        "executor",
    ),
    Metric(
        "penstock_slo_success_objective",
        "gauge",
        ("agent", "stage"),
        "`slo.successRate` of the release in prod and in canary",
        "executor",
    ),
    Metric("penstock_spool_records", "gauge", (), "records that wait for the disk", "executor"),
    Metric("penstock_spool_bytes", "gauge", (), "what the spool holds and the database does not yet", "executor"),
    Metric(
        "penstock_database_up", "gauge", (), "1 while the database can be reached and takes in the spool", "executor"
    ),
    Metric(
        "penstock_alerts_recorded_total",
        "counter",
        ("rule", "severity"),
        "alerts that this executor raised, repeats included",
        "executor",
    ),
    Metric("penstock_alerts_dropped_total", "counter", (), "alerts for which its queue had no place", "executor"),
    Metric("penstock_traces_exported_total", "counter", (), "runs whose spans the OTLP receiver took", "executor"),
    Metric(
        "penstock_traces_dropped_total",
        "counter",
        ("reason",),
        "runs whose spans were given up: queue = it was full, export = the receiver did not take them",
        "executor",
    ),
)

METRICS: dict[str, Metric] = {one.name: one for one in (*_RUNS, *_CALLS, *_GOVERNED, *_EXECUTOR)}


def markdown(metrics: Iterable[Metric] = METRICS.values()) -> str:
    """The table as the documentation has it."""
    rows = [
        f"| `{one.name}` | {one.kind} | {one.unit} | {', '.join(one.labels) or '-'} | {one.formula} |"
        for one in metrics
    ]
    return "\n".join(["| metric | kind | unit | labels | formula |", "|---|---|---|---|---|", *rows])

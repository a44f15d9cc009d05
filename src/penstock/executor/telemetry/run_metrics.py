"""RunMetrics: folds the events of live runs into figures, as the table of metrics says."""

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from penstock.contracts.event import TERMINAL
from penstock.executor.telemetry.figures import Figures, Labels

Event = dict[str, Any]
_LENGTHS = {1: "month", 2: "day"}
VERSIONS = 20
"""Versions of an agent with figures of their own; the one that ran least recently then goes into `other`."""


class _InFlight:
    """What a run that goes on has shown so far; times as the events write them; queued = (level, since)."""

    __slots__ = ("agent", "last_token", "queued", "running", "started")

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.started: str | None = None
        self.last_token: str | None = None
        self.queued: tuple[str, str] | None = None
        self.running = False


class RunMetrics:
    """An observer of a sink; safe for several threads. Runs of other modes than live are not counted."""

    def __init__(self) -> None:
        self._figures = Figures()
        self._lock = threading.Lock()
        self._flying: dict[str, _InFlight] = {}
        self._versions: dict[str, dict[str, None]] = {}
        self._handlers: dict[str, Callable[[Event], None]] = {
            "run.queued": self._queued,
            "run.started": self._started,
            "run.resumed": self._started,
            "run.interrupted": self._interrupted,
            "llm.finished": self._model_called,
            "llm.retried": self._retried,
            "tool.finished": self._tool_called,
            "tool.failed": self._tool_called,
            "policy.decided": self._decided,
            "fallback.used": self._fell_back,
            "cache.hit": self._cached,
            "breaker.opened": self._breaker,
            "breaker.closed": self._breaker,
            "budget.alerted": self._budget,
            "alert.raised": self._alert,
            **dict.fromkeys(TERMINAL, self._ended),
        }

    def observe(self, event: Event) -> None:
        """Counts the event; of the decisions of policies those that deny."""
        handler = self._handlers.get(event["type"])
        if handler is not None and event["mode"] == "live" and not event["data"].get("allowed"):
            with self._lock:
                handler(event)

    def snapshot(self) -> Figures:
        """The figures as they are now."""
        with self._lock:
            return self._figures.copy()

    def flying(self) -> set[str]:
        """The ids of the runs that wait or go on, as their events say."""
        with self._lock:
            return set(self._flying)

    def forget(self, run_ids: Iterable[str]) -> None:
        """Runs that are over, although nobody could say so: a disk that fails takes no terminal event."""
        with self._lock:
            for run_id in run_ids:
                self._leave(run_id)

    def _queued(self, event: Event) -> None:
        level = str(event["data"].get("level", "")).partition(" ")[0]  # its kind: names of tenants are no label
        run = self._flying.setdefault(event["runId"], _InFlight(event["agent"]))
        self._leave_queue(run)
        run.queued = (level, event["data"].get("acceptedAt", event["time"]))
        self._figures.add("penstock_runs_queued", (level,))

    def _started(self, event: Event) -> None:
        run = self._flying.setdefault(event["runId"], _InFlight(event["agent"]))
        if run.queued is not None:
            level, since = run.queued
            self._figures.observe("penstock_queue_wait_seconds", (level,), seconds_between(since, event["time"]))
        self._leave_queue(run)
        if not run.running:
            run.running = True
            self._figures.add("penstock_runs_in_flight", (run.agent,))
        if event["type"] == "run.started":
            run.started = event["time"]

    def _interrupted(self, event: Event) -> None:
        self._leave(event["runId"])

    def _leave(self, run_id: str) -> _InFlight | None:
        run = self._flying.pop(run_id, None)
        if run is not None:
            self._leave_queue(run)
            if run.running:
                self._figures.add("penstock_runs_in_flight", (run.agent,), -1)
        return run

    def _leave_queue(self, run: _InFlight) -> None:
        if run.queued is not None:
            self._figures.add("penstock_runs_queued", (run.queued[0],), -1)
            run.queued = None

    def _model_called(self, event: Event) -> None:
        data, figures = event["data"], self._figures
        model, failed = data["model"], "error" in data
        figures.add("penstock_model_calls_total", (event["agent"], model, "error" if failed else "ok"))
        if failed:
            return
        figures.observe("penstock_model_call_duration_seconds", (model,), data["durationMs"] / 1000)
        run = self._flying.get(event["runId"])
        if run is not None:
            run.last_token = event["time"]

    def _retried(self, event: Event) -> None:
        self._figures.add("penstock_model_retries_total", (event["agent"], event["data"]["model"]))

    def _tool_called(self, event: Event) -> None:
        data = event["data"]
        outcome = data["code"] if event["type"] == "tool.failed" else "ok"
        # The model chose the name of a tool that does not exist: there is no end to such names.
        tool = "unknown" if outcome == "unknown-tool" else data["tool"]
        self._figures.add("penstock_tool_calls_total", (event["agent"], tool, outcome))
        self._figures.observe("penstock_tool_call_duration_seconds", (tool,), data["durationMs"] / 1000)

    def _decided(self, event: Event) -> None:
        self._figures.add("penstock_policy_denials_total", (event["agent"], event["data"]["action"]))

    def _fell_back(self, event: Event) -> None:
        self._figures.add("penstock_fallbacks_total", (event["agent"], str(event["data"].get("kind", ""))))

    def _cached(self, event: Event) -> None:
        self._figures.add("penstock_cached_answers_total", (event["agent"], str(event["data"].get("kind", ""))))

    def _breaker(self, event: Event) -> None:
        resource, is_open = str(event["data"].get("resource", "")), event["type"] == "breaker.opened"
        self._figures.set("penstock_breaker_open", (resource,), float(is_open))
        self._figures.add("penstock_breaker_changes_total", (resource, "open" if is_open else "closed"))

    def _budget(self, event: Event) -> None:
        scope = str(event["data"].get("scope", "")).partition(":")[0]
        self._figures.add("penstock_budget_alerts_total", (scope, _length(event["data"].get("period"))))

    def _alert(self, event: Event) -> None:
        data = event["data"]
        self._figures.add("penstock_run_alerts_total", (event["agent"], data["rule"], data["severity"]))

    def _ended(self, event: Event) -> None:
        data, figures = event["data"], self._figures
        of = self._labels(event)
        code = data["error"]["code"] if "error" in data else ""
        figures.add("penstock_runs_total", (*of, event["type"][4:], code))
        figures.set("penstock_agent_info", (event["agent"], event["team"]), 1)
        run = self._leave(event["runId"])
        if run is not None and run.started is not None and run.last_token is not None:
            figures.observe("penstock_run_ttlt_seconds", of, seconds_between(run.started, run.last_token))
        usage = data.get("usage")
        if usage is None:
            return  # it was rejected: nothing was used
        figures.observe("penstock_run_duration_seconds", of, data["durationMs"] / 1000)
        if data.get("ttftMs") is not None:
            figures.observe("penstock_run_ttft_seconds", of, data["ttftMs"] / 1000)
        figures.observe("penstock_run_model_calls", of, usage["modelCalls"])
        figures.observe("penstock_run_tool_calls", of, usage["toolCalls"])
        figures.add("penstock_tokens_total", (*of, "prompt"), usage["promptTokens"])
        figures.add("penstock_tokens_total", (*of, "completion"), usage["completionTokens"])
        if usage["costUsd"] is None:
            figures.add("penstock_runs_without_price_total", of)
        else:
            figures.add("penstock_cost_usd_total", of, usage["costUsd"])

    def _labels(self, event: Event) -> Labels:
        """Agent, version and stage; where there are too many versions the one that ran least recently is folded."""
        agent, version = event["agent"], event["version"]
        versions = self._versions.setdefault(agent, {})
        if version not in versions and len(versions) >= VERSIONS:
            oldest = next(iter(versions))
            del versions[oldest]
            self._figures.fold_version(agent, oldest)
        versions.pop(version, None)
        versions[version] = None
        return agent, version, event["stage"]


def _length(period: object) -> str:
    """day, month or run: a budget's period names its date, and dates have no end."""
    if period is None:
        return "run"
    text = str(period)
    return text if text in _LENGTHS.values() else _LENGTHS.get(text.count("-"), "other")


def seconds_between(earlier: str, later: str) -> float:
    """Seconds between two times of events."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()

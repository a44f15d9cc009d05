"""RunRules: the alert rules that look at one run, asked with each of its events."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.contracts.operations_alerts import Alerts, CostlyRun, FailedTool, SlowFirstToken
from penstock.engine.call import RunCall

Event = dict[str, Any]
Facts = dict[str, Any]
RunRule = SlowFirstToken | FailedTool | CostlyRun
_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules on an agent's runs at a stage, apart by what they look at."""

    slow: tuple[SlowFirstToken, ...]
    failed: tuple[FailedTool, ...]
    costly: tuple[CostlyRun, ...]


class RunRules:
    """The rules on single runs out of `alerts`; the others are asked of the database, not here."""

    def __init__(self, alerts: Alerts) -> None:
        self._of: dict[tuple[str, str], _Rules | None] = {}
        self.use(alerts)

    def use(self, alerts: Alerts) -> None:
        """Watches by these rules from the next run on."""
        self._alerts = alerts
        self._of.clear()

    def of(self, call: RunCall) -> "RunWatch | None":
        """What watches a run; None where no rule does, as in every run that is not live."""
        if call.mode != "live":
            return None
        key = (call.release.name, call.stage)
        if key not in self._of:
            if len(self._of) >= _KEPT:
                self._of.clear()
            self._of[key] = self._rules(*key)
        rules = self._of[key]
        return RunWatch(rules) if rules is not None else None

    def _rules(self, agent: str, stage: str) -> _Rules | None:
        own = [rule for rule in self._alerts.rules if rule.applies(agent, stage)]
        rules = _Rules(
            tuple(rule for rule in own if isinstance(rule, SlowFirstToken)),
            tuple(rule for rule in own if isinstance(rule, FailedTool)),
            tuple(rule for rule in own if isinstance(rule, CostlyRun)),
        )
        return rules if rules.slow or rules.failed or rules.costly else None


class RunWatch:
    """Watches one run. Each rule is heard once, that of failed tools once for each call."""

    __slots__ = ("_cost_usd", "_costly", "_rules", "_started")

    def __init__(self, rules: _Rules) -> None:
        self._rules = rules
        self._costly = rules.costly
        self._started: str | None = None
        self._cost_usd = 0.0

    def __call__(self, event: Event) -> Iterable[Facts]:
        """The data of each alert.raised that the event calls for."""
        handler = _HANDLERS.get(event["type"])
        return handler(self, event) if handler is not None else ()

    def first_token(self, at: str) -> Iterable[Facts]:
        """The same, once the first text of the run was streamed."""
        if self._started is None or not self._rules.slow:
            return
        took = datetime.fromisoformat(at) - datetime.fromisoformat(self._started)
        ttft_ms = took.total_seconds() * 1000
        for rule in self._rules.slow:
            if ttft_ms > rule.above_ms:
                what = f"the first token took {ttft_ms:,.0f} ms, more than {rule.above_ms:,.0f}"
                yield _facts(rule, what, ttft_ms, rule.above_ms)

    def _run_started(self, event: Event) -> Iterable[Facts]:
        self._started = event["time"]
        return ()

    def _model_answered(self, event: Event) -> Iterable[Facts]:
        cost_usd = event["data"].get("costUsd")
        if not cost_usd or not self._costly:
            return ()
        self._cost_usd += cost_usd
        found = [
            _facts(
                rule,
                f"the run cost {self._cost_usd:.4f} USD so far, more than {rule.above_usd:g}",
                self._cost_usd,
                rule.above_usd,
            )
            for rule in self._costly
            if self._cost_usd > rule.above_usd
        ]
        if found:
            self._costly = tuple(rule for rule in self._costly if self._cost_usd <= rule.above_usd)
        return found

    def _tool_failed(self, event: Event) -> Iterable[Facts]:
        data = event["data"]
        what = f"tool {data['tool'][:63]} failed: {data['code']}"
        return [
            {**_facts(rule, what, 1, 0), "tool": data["tool"][:63], "callId": data["callId"]}
            for rule in self._rules.failed
        ]


_HANDLERS: dict[str, Callable[[RunWatch, Event], Iterable[Facts]]] = {
    "run.started": RunWatch._run_started,
    "llm.finished": RunWatch._model_answered,
    "tool.failed": RunWatch._tool_failed,
}


def _facts(rule: RunRule, what: str, value: float, limit: float) -> Facts:
    return {
        "rule": rule.name,
        "when": rule.when,
        "severity": rule.severity,
        "what": what,
        "value": round(value, 6),
        "limit": limit,
    }

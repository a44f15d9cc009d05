"""RunRules: the alert rules that look at one run, asked with each of its events."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from penstock.contracts.operations_alerts import Alerts, CostlyRun, FailedTool, SlowFirstToken
from penstock.engine.call import RunCall

Event = dict[str, Any]
Facts = dict[str, Any]
RunRule = SlowFirstToken | FailedTool | CostlyRun
_KEPT = 1_000


class RunRules:
    """The rules on single runs out of `alerts`; the others are asked of the database, not here."""

    def __init__(self, alerts: Alerts) -> None:
        self._rules = [rule for rule in alerts.rules if isinstance(rule, RunRule)]
        self._of: dict[tuple[str, str], tuple[RunRule, ...]] = {}

    def of(self, call: RunCall) -> "RunWatch | None":
        """What watches a run; None where no rule does, as in every run that is not live."""
        if call.mode != "live":
            return None
        key = (call.release.name, call.effective_stage)
        rules = self._of.get(key)
        if rules is None:
            if len(self._of) >= _KEPT:
                self._of.clear()
            rules = self._of[key] = tuple(rule for rule in self._rules if rule.applies(*key))
        return RunWatch(rules) if rules else None


class RunWatch:
    """Watches one run. Each rule is heard once, that of failed tools once for each call."""

    __slots__ = ("_begun", "_cost_usd", "_rules", "_started")

    def __init__(self, rules: Sequence[RunRule]) -> None:
        self._rules = list(rules)
        self._started: str | None = None
        self._begun: dict[str, str] = {}
        self._cost_usd = 0.0

    def __call__(self, event: Event) -> Iterable[Facts]:
        """The data of each alert.raised that the event calls for."""
        handler = _HANDLERS.get(event["type"])
        return handler(self, event) if handler is not None else ()

    def _run_started(self, event: Event) -> Iterable[Facts]:
        self._started = event["time"]
        return ()

    def _model_asked(self, event: Event) -> Iterable[Facts]:
        self._begun[event["spanId"]] = event["time"]
        return ()

    def _model_answered(self, event: Event) -> Iterable[Facts]:
        data = event["data"]
        self._cost_usd += data.get("costUsd") or 0.0
        ttft_ms = self._ttft_ms(event)
        found = []
        for rule in tuple(self._rules):
            if isinstance(rule, CostlyRun) and self._cost_usd > rule.above_usd:
                what = f"the run cost {self._cost_usd:.4f} USD so far, more than {rule.above_usd:g}"
                found.append(_facts(rule, what, self._cost_usd, rule.above_usd))
                self._rules.remove(rule)
            elif isinstance(rule, SlowFirstToken) and ttft_ms is not None:
                self._rules.remove(rule)  # there is only one first token
                if ttft_ms > rule.above_ms:
                    what = f"the first token took {ttft_ms:,.0f} ms, more than {rule.above_ms:,.0f}"
                    found.append(_facts(rule, what, ttft_ms, rule.above_ms))
        return found

    def _ttft_ms(self, event: Event) -> float | None:
        """From the start of the run to the first token of this call, milliseconds; None where nobody knows."""
        begun, of_call_ms = self._begun.pop(event["spanId"], None), event["data"].get("ttftMs")
        if begun is None or self._started is None or of_call_ms is None:
            return None
        before = datetime.fromisoformat(begun) - datetime.fromisoformat(self._started)
        return float(before.total_seconds() * 1000 + of_call_ms)

    def _tool_failed(self, event: Event) -> Iterable[Facts]:
        data = event["data"]
        what = f"tool {data['tool'][:63]} failed: {data['code']}"
        return [
            {**_facts(rule, what, 1, 0), "tool": data["tool"][:63], "callId": data["callId"]}
            for rule in self._rules
            if isinstance(rule, FailedTool)
        ]


_HANDLERS: dict[str, Callable[[RunWatch, Event], Iterable[Facts]]] = {
    "run.started": RunWatch._run_started,
    "llm.started": RunWatch._model_asked,
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

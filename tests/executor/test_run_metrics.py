"""Every metric of runs is computed again from the events of a recorded set of runs, by other means."""

import asyncio
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.adapters.direct import DirectRuntime
from penstock.contracts.operations_alerts import Alerts
from penstock.engine.alert_rules import RunRules
from penstock.errors import Unavailable
from penstock.executor.telemetry.exposition import exposition
from penstock.executor.telemetry.metric import METRICS, markdown
from penstock.executor.telemetry.run_metrics import VERSIONS, RunMetrics
from penstock.pal import ModelAnswer, ModelFailed, Usage
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, asks, hangs, says
from penstock.testing.fake_tools import FakeTools

Event = dict[str, Any]
Series = dict[tuple[str, ...], Any]
TERMINAL = re.compile(r"run\.(finished|failed|cancelled|timed_out|rejected)")
DENY = ({"name": "no", "effect": "deny", "actions": ["run.start"]},)
PAGE = Path(__file__).parents[2] / "docs" / "observability.md"


async def recorded() -> list[Event]:
    """Runs that end in every way, with tools, a stream, retries, an alert and a price that is not known."""
    streamed = ModelAnswer("word by word", (), Usage(20, 7, 0.5), ttft_ms=12.5)
    provider = FakeProvider(
        asks(("weather", {"town": "Bonn"}), ("weather", {"town": 5}), ("weahter", {})), streamed,
        says("free", Usage(3, 2, None)),
        ModelFailed("busy", retryable=True, retry_after_s=0.0), says("late"),
        ModelFailed("away"),
        hangs,
        hangs,
    )  # fmt: skip
    rig = Rig(DirectRuntime, "penstock", provider, FakeTools(weather=lambda _: {"degrees": 4}))
    rule = {"name": "costly", "when": "run-cost", "aboveUsd": 0.1, "stages": ["prod"]}
    rig.engine.alert_rules = RunRules(Alerts.model_validate({"rules": [rule]}))
    tools: dict[str, Any] = {"tools": {"weather": {}}}
    await rig.run(rig.call(stream=True, stage="prod", **tools))
    await rig.run(rig.call(stage="canary"))
    await rig.run(rig.call())
    await rig.run(rig.call())
    await rig.run(rig.call({"limits": {"timeoutMs": 30}}))
    await rig.run(rig.call(rules=DENY))
    cancelled = rig.start(rig.call())
    rig.provider.asked.clear()
    await asyncio.wait_for(rig.provider.asked.wait(), 5)
    cancelled.cancel("by a test")
    await cancelled.result()
    await rig.run(rig.call(mode="replay"))  # of no interest to anybody
    return rig.sink.events()


def told(events: list[Event]) -> Iterator[Event]:
    """Events of other parts of an executor, as those that are recorded here."""
    form = {**events[0], "agent": "clerk"}
    yield {**form, "type": "run.queued", "runId": "q1", "data": {"level": "team"}}
    queued, began = "2026-11-20T10:00:00.250000Z", "2026-11-20T10:00:01.500000Z"
    yield {**form, "type": "run.queued", "runId": "q2", "time": queued, "data": {"level": "agent"}}
    yield {**form, "type": "run.started", "runId": "q2", "time": began, "data": {}}
    yield {**form, "type": "run.started", "runId": "q3", "data": {}}
    yield {**form, "type": "run.interrupted", "runId": "q3", "data": {}}
    yield {**form, "type": "breaker.opened", "data": {"resource": "tools/weather", "why": "5 failures"}}
    yield {**form, "type": "breaker.opened", "data": {"resource": "models/fake", "why": "5 failures"}}
    yield {**form, "type": "breaker.closed", "data": {"resource": "models/fake", "why": "a probe went well"}}
    budget = {"scope": "tenant:acme", "period": "2026-11-20", "spentUsd": 8, "limitUsd": 10}
    yield {**form, "type": "budget.alerted", "data": budget}
    yield {**form, "type": "budget.alerted", "data": {**budget, "scope": "team", "period": "2026-11"}}
    yield {**form, "type": "budget.alerted", "data": {**budget, "scope": "run", "period": None}}
    yield {**form, "type": "fallback.used", "data": {"kind": "model"}}
    yield {**form, "type": "cache.hit", "data": {"kind": "similar", "similarity": 0.97}}


@pytest.fixture(scope="module")
def events() -> list[Event]:
    found = asyncio.run(recorded())
    return [*found, *told(found)]


def families(metrics: RunMetrics) -> dict[str, Series]:
    """What Prometheus reads: by metric and labels a value, of a histogram its count, sum and buckets."""
    page, _ = exposition([metrics.snapshot()])
    read: dict[str, Series] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            name = re.sub(r"_(bucket|sum|count)$", "", sample.name) if family.type == "histogram" else sample.name
            if name not in METRICS:
                assert name.startswith("process_"), name
                continue
            labels = tuple(sample.labels[label] for label in METRICS[name].labels)
            assert set(sample.labels) <= {*METRICS[name].labels, "le"}
            series = read.setdefault(name, {})
            if family.type == "histogram":
                part = sample.labels.get("le") or sample.name.rsplit("_", 1)[1]
                series.setdefault(labels, {})[part] = sample.value
            else:
                series[labels] = sample.value
    return read


# What each metric is, said again: (labels, value) pairs, summed where it is a counter, last where it is a gauge that
# is set, collected where it is a histogram.
Pairs = Iterator[tuple[tuple[str, ...], float]]


def each(pattern: str, pairs: Callable[[Event, list[Event]], list[tuple[tuple[Any, ...], Any]]]) -> Any:
    def fold(events: list[Event]) -> Pairs:
        live = [event for event in events if event["mode"] == "live"]
        for event in live:
            if re.fullmatch(pattern, event["type"]):
                run = [one for one in live if one["runId"] == event["runId"]]
                for labels, value in pairs(event, run):
                    yield tuple(map(str, labels)), value

    return fold


def run(event: Event) -> tuple[str, str, str]:
    return event["agent"], event["version"], event["stage"]


def used(event: Event, *names: str) -> list[Any]:
    usage = event["data"].get("usage")
    return [usage[name] for name in names] if usage is not None else []


def ttlt(event: Event, own: list[Event]) -> list[tuple[tuple[Any, ...], Any]]:
    ends = [one for one in own if one["type"] == "llm.finished" and "error" not in one["data"]]
    starts = [one for one in own if one["type"] == "run.started"]
    if not ends or not starts:
        return []
    return [(run(event), seconds(starts[0], ends[-1]))]


def in_flight(event: Event, own: list[Event]) -> list[tuple[tuple[Any, ...], Any]]:
    is_over = any(TERMINAL.fullmatch(one["type"]) or one["type"] == "run.interrupted" for one in own)
    return [((event["agent"],), 0 if is_over else 1)]


def queued(event: Event, own: list[Event]) -> list[tuple[tuple[Any, ...], Any]]:
    return [((event["data"]["level"],), int(own[-1]["type"] == "run.queued"))]


def waited(event: Event, own: list[Event]) -> list[tuple[tuple[Any, ...], Any]]:
    starts = [one for one in own if one["type"] == "run.started"]
    return [((event["data"]["level"],), seconds(event, one)) for one in starts]


def seconds(earlier: Event, later: Event) -> float:
    return (datetime.fromisoformat(later["time"]) - datetime.fromisoformat(earlier["time"])).total_seconds()


def tool(event: Event) -> str:
    return "unknown" if event["data"].get("code") == "unknown-tool" else event["data"]["tool"]


LENGTHS = {0: "run", 7: "month", 10: "day"}
END, TOOL = TERMINAL.pattern, r"tool\.(finished|failed)"
AGAIN: dict[str, Any] = {
    "penstock_runs_total": each(
        END, lambda e, _: [((*run(e), e["type"][4:], e["data"].get("error", {}).get("code", "")), 1)]
    ),
    "penstock_run_duration_seconds": each(
        END, lambda e, _: [(run(e), e["data"]["durationMs"] / 1000)] if "durationMs" in e["data"] else []
    ),
    "penstock_run_ttft_seconds": each(
        END, lambda e, _: [(run(e), e["data"]["ttftMs"] / 1000)] if e["data"].get("ttftMs") is not None else []
    ),
    "penstock_run_ttlt_seconds": each(END, ttlt),
    "penstock_run_model_calls": each(END, lambda e, _: [(run(e), n) for n in used(e, "modelCalls")]),
    "penstock_run_tool_calls": each(END, lambda e, _: [(run(e), n) for n in used(e, "toolCalls")]),
    "penstock_tokens_total": each(
        END,
        lambda e, _: [
            ((*run(e), kind), n)
            for kind, n in zip(("prompt", "completion"), used(e, "promptTokens", "completionTokens"), strict=False)
        ],
    ),
    "penstock_cost_usd_total": each(END, lambda e, _: [(run(e), n) for n in used(e, "costUsd") if n is not None]),
    "penstock_runs_without_price_total": each(END, lambda e, _: [(run(e), 1) for n in used(e, "costUsd") if n is None]),
    "penstock_runs_in_flight": each(r"run\.started", in_flight),
    "penstock_agent_info": each(END, lambda e, _: [((e["agent"], e["team"]), 1)]),
    "penstock_model_calls_total": each(
        r"llm\.finished",
        lambda e, _: [((e["agent"], e["data"]["model"], "error" if "error" in e["data"] else "ok"), 1)],
    ),
    "penstock_model_call_duration_seconds": each(
        r"llm\.finished",
        lambda e, _: [((e["data"]["model"],), e["data"]["durationMs"] / 1000)] if "error" not in e["data"] else [],
    ),
    "penstock_model_retries_total": each(r"llm\.retried", lambda e, _: [((e["agent"], e["data"]["model"]), 1)]),
    "penstock_tool_calls_total": each(TOOL, lambda e, _: [((e["agent"], tool(e), e["data"].get("code", "ok")), 1)]),
    "penstock_tool_call_duration_seconds": each(TOOL, lambda e, _: [((tool(e),), e["data"]["durationMs"] / 1000)]),
    "penstock_fallbacks_total": each(r"fallback\.used", lambda e, _: [((e["agent"], e["data"]["kind"]), 1)]),
    "penstock_cached_answers_total": each(r"cache\.hit", lambda e, _: [((e["agent"], e["data"]["kind"]), 1)]),
    "penstock_policy_denials_total": each(
        r"policy\.decided", lambda e, _: [((e["agent"], e["data"]["action"]), 1)] if not e["data"]["allowed"] else []
    ),
    "penstock_queue_wait_seconds": each(r"run\.queued", waited),
    "penstock_runs_queued": each(r"run\.queued", queued),
    "penstock_breaker_open": each(
        r"breaker\.\w+", lambda e, _: [((e["data"]["resource"],), int(e["type"] == "breaker.opened"))]
    ),
    "penstock_breaker_changes_total": each(
        r"breaker\.\w+",
        lambda e, _: [((e["data"]["resource"], {"opened": "open", "closed": "closed"}[e["type"].split(".")[1]]), 1)],
    ),
    "penstock_budget_alerts_total": each(
        r"budget\.alerted",
        lambda e, _: [((e["data"]["scope"].split(":")[0], LENGTHS[len(e["data"]["period"] or "")]), 1)],
    ),
    "penstock_run_alerts_total": each(
        r"alert\.raised", lambda e, _: [((e["agent"], e["data"]["rule"], e["data"]["severity"]), 1)]
    ),
}
SET = {"penstock_agent_info", "penstock_breaker_open"}


def expected(name: str, events: list[Event]) -> Series:
    found: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for labels, value in AGAIN[name](events):
        found[labels].append(value)
    if METRICS[name].kind != "histogram":
        return {labels: values[-1] if name in SET else sum(values) for labels, values in found.items()}
    bounds = (*METRICS[name].bounds, float("inf"))
    return {
        labels: {
            "sum": pytest.approx(sum(values)),
            "count": len(values),
            **{
                "+Inf" if bound == float("inf") else str(bound): sum(value <= bound for value in values)
                for bound in bounds
            },
        }
        for labels, values in found.items()
    }


def test_every_metric_of_events_is_computed_again(events: list[Event]) -> None:
    metrics = RunMetrics()
    for event in events:
        metrics.observe(event)
    read = families(metrics)
    assert set(AGAIN) == {name for name, metric in METRICS.items() if metric.source == "events"}
    for name in AGAIN:
        again = expected(name, events)
        assert again, f"the recorded runs say nothing of {name}"
        assert read[name] == again, name


def test_what_models_and_callers_name_is_no_label(events: list[Event]) -> None:
    metrics = RunMetrics()
    for event in events:
        metrics.observe({**event, "tenant": "acme", "actor": "ada", "sessionId": "s"})
    page = exposition([metrics.snapshot()])[0].decode()
    assert "weahter" not in page
    assert not re.search(r"acme|ada\b|tenant:|session", page)


def test_the_versions_of_an_agent_are_bounded_and_their_sums_stay(events: list[Event]) -> None:
    (finished,) = [event for event in events if event["type"] == "run.finished" and event["stage"] == "prod"]
    metrics = RunMetrics()
    for number in range(VERSIONS + 5):
        metrics.observe({**finished, "version": f"1.{number}.0", "runId": str(number)})
    runs, durations = (metrics.snapshot().values["penstock_runs_total"], metrics.snapshot().distributions)
    versions = [labels[1] for labels in runs]
    assert len(versions) == VERSIONS + 1
    assert "1.4.0" not in versions
    assert {"1.24.0", "other"} <= set(versions)
    assert sum(runs.values()) == VERSIONS + 5
    assert sum(one.counts[-2] for one in durations["penstock_run_duration_seconds"].values()) == 0
    assert sum(sum(one.counts) for one in durations["penstock_run_duration_seconds"].values()) == VERSIONS + 5


def test_names_say_their_unit_and_counters_that_they_only_grow() -> None:
    for name, metric in METRICS.items():
        assert (metric.kind == "counter") is name.endswith("_total"), name
        assert bool(metric.bounds) is (metric.kind == "histogram"), name
        assert list(metric.bounds) == sorted(set(metric.bounds)), name
        assert metric.formula, name
        assert not {"tenant", "user", "session", "run"} & set(metric.labels), name


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(Unavailable, match="not installed: prometheus_client") as missing:
        exposition([])
    assert "penstock[telemetry]" in missing.value.now


def test_the_documentation_has_the_table() -> None:
    assert markdown() in PAGE.read_text("utf-8")

"""TraceSpans of a run, derived from its events when somebody asks: nothing is measured twice."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from penstock.contracts.event import TERMINAL
from penstock.contracts.span import TraceSpan
from penstock.engine import genai

Event = dict[str, Any]
Status = Literal["UNSET", "OK", "ERROR"]
_MODEL = ("llm.started", "llm.retried", "llm.finished")
_TOOL = ("tool.started", "tool.retried", "tool.finished", "tool.failed")


def trace_spans(events: Iterable[Event]) -> list[TraceSpan]:
    """The run's span, then one for each model call and tool call in the order of their starts.

    The run's tokens and cost are the sums of its model calls'. A call that had no end ends with the run.
    """
    ordered = sorted((event for event in events if event["seq"] is not None), key=lambda event: event["seq"])
    if not ordered:
        return []
    run_span = next((event["spanId"] for event in ordered if event["type"].startswith("run.")), ordered[0]["spanId"])
    by_span: dict[str, list[Event]] = {run_span: []}
    for event in ordered:
        by_span.setdefault(event["spanId"], []).append(event)
    run = by_span.pop(run_span)
    calls = [_call_span(group, last=ordered[-1]) for group in by_span.values()]
    return [_run_span(run, ordered, calls), *calls]


def _run_span(own: list[Event], all_events: list[Event], calls: list[TraceSpan]) -> TraceSpan:
    head, last = own[0], all_events[-1]
    attributes = {**genai.agent_attributes(head), **_sums(calls)}
    if last["type"] in TERMINAL and "error" in last["data"]:
        attributes["error.type"] = last["data"]["error"]["code"]
    return TraceSpan(
        trace_id=head["traceId"],
        span_id=head["spanId"],
        parent_span_id=head["parentSpanId"],
        name=f"{genai.INVOKE_AGENT} {head['agent']}",
        kind="SERVER",
        start_time_unix_nano=_nano(all_events[0]["time"]),
        end_time_unix_nano=_nano(last["time"]),
        status=_run_status(last),
        attributes=attributes,
    )


def _run_status(last: Event) -> Status:
    if last["type"] not in TERMINAL:
        return "UNSET"
    return "OK" if last["type"] == "run.finished" else "ERROR"


def _call_span(group: list[Event], last: Event) -> TraceSpan:
    head, end = group[0], group[-1]
    data = {**head["data"], **end["data"]}
    is_model = head["type"] in _MODEL
    is_open = end["type"] in ("llm.started", "llm.retried", "tool.started", "tool.retried")
    failed = end["type"] == "tool.failed" or "error" in end["data"] or is_open
    name = f"{genai.CHAT} {data['model']}" if is_model else f"{genai.EXECUTE_TOOL} {data['tool']}"
    return TraceSpan(
        trace_id=head["traceId"],
        span_id=head["spanId"],
        parent_span_id=head["parentSpanId"],
        name=name,
        kind="CLIENT" if is_model else "INTERNAL",
        start_time_unix_nano=_nano(head["time"]),
        end_time_unix_nano=_nano((last if is_open else end)["time"]),
        status="ERROR" if failed else "OK",
        attributes=genai.model_attributes(data) if is_model else genai.tool_attributes(data),
    )


def _sums(calls: list[TraceSpan]) -> dict[str, Any]:
    """Tokens and cost of all model calls; no cost if that of a finished call is unknown."""
    models = [call for call in calls if "gen_ai.usage.input_tokens" in call.attributes]
    costs = [call.attributes.get("penstock.cost_usd") for call in models]
    sums: dict[str, Any] = {
        name: sum(call.attributes[name] for call in models)
        for name in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    }
    if None not in costs:
        sums["penstock.cost_usd"] = sum(cost for cost in costs if cost is not None)
    return sums


def _nano(time: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time in UTC, exact to the microsecond."""
    moment = datetime.fromisoformat(time)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1_000

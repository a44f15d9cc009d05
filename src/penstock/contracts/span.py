"""TraceSpan: OTLP-shaped, derived from a run's events at export."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.document import Record


class TraceSpan(Record):
    """One span with GenAI attribute names; tokens and cost are the sums of its events."""

    schema_: Literal["penstock.dev/span/v1"] = Field("penstock.dev/span/v1", alias="schema")
    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    name: str
    kind: Literal["INTERNAL", "CLIENT", "SERVER"] = "INTERNAL"
    start_time_unix_nano: int
    end_time_unix_nano: int
    status: Literal["UNSET", "OK", "ERROR"] = "UNSET"
    attributes: dict[str, Any] = Field(default_factory=dict)

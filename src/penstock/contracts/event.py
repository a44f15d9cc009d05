"""RunEvent: the facts of a run, the same whatever runtime ran it."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.document import Record

EVENT_SCHEMA = "penstock.dev/event/v1"
Mode = Literal["live", "eval", "replay", "shadow", "dry"]
EventType = Literal[
    "run.queued",
    "run.started",
    "run.interrupted",
    "run.resumed",
    "run.rejected",
    "policy.decided",
    "llm.started",
    "llm.finished",
    "llm.retried",
    "token.delta",
    "tool.started",
    "tool.retried",
    "tool.finished",
    "tool.failed",
    "review.requested",
    "review.decided",
    "breaker.opened",
    "breaker.closed",
    "fallback.used",
    "model.chosen",
    "context.cut",
    "cache.hit",
    "budget.alerted",
    "alert.raised",
    "run.finished",
    "run.failed",
    "run.cancelled",
    "run.timed_out",
]
TERMINAL: frozenset[str] = frozenset({"run.finished", "run.failed", "run.cancelled", "run.timed_out", "run.rejected"})


class RunEvent(Record):
    """One fact; `seq` has no gaps within a run. Payloads are elsewhere: `data` holds digests and references."""

    schema_: Literal["penstock.dev/event/v1"] = Field("penstock.dev/event/v1", alias="schema")
    id: str = Field(description="UUID version 7.")
    type: str = Field(description="One of the types of execution; unknown ones are kept.")
    time: str = Field(description="RFC 3339 in UTC with microseconds.")
    seq: int | None = Field(ge=1, description="From 1; none on token.delta, which is never stored.")
    attempt: int = Field(1, ge=1, description="1 more each time another process took the run over.")
    run_id: str
    session_id: str | None = None
    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    main_agent_id: str
    sub_agent_id: str | None = None
    agent: str
    version: str
    release: str
    stage: str
    team: str
    tenant: str | None = None
    actor: str | None = None
    runtime: str
    mode: Mode
    data: dict[str, Any] = Field(default_factory=dict)

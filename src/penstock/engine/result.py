"""RunResult: how a run ended. Its status is final."""

from dataclasses import dataclass
from typing import Any, Literal

from penstock.engine.failure import Failure
from penstock.errors import LimitReached, PenstockError

RunStatus = Literal["finished", "failed", "cancelled", "timed_out", "rejected"]


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What a run used; `cost_usd` None = the price of a call is unknown, an error in accounting and never 0.

    `tool_failures` are those of the tool calls that gave no result.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    model_calls: int = 0
    tool_calls: int = 0
    tool_failures: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def steps(self) -> int:
        """Model calls and tool calls together."""
        return self.model_calls + self.tool_calls

    def as_document(self) -> dict[str, Any]:
        """The usage as a JSON object."""
        return {
            "promptTokens": self.prompt_tokens,
            "completionTokens": self.completion_tokens,
            "totalTokens": self.total_tokens,
            "costUsd": self.cost_usd,
            "modelCalls": self.model_calls,
            "toolCalls": self.tool_calls,
            "toolFailures": self.tool_failures,
            "steps": self.steps,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The end of a run. `output` is the text, or the parsed JSON of an agent whose output schema is an object's.

    `cached` = an earlier run's answer. `fallbacks` are what stood in for a model, a tool or an answer, in their order.
    `refusal` is the typed error of a rejected run, for the edge that answers the caller; it holds every fault.
    `context_ref_id` and `result_ref_id` are where a large input and a large output are fetched from.
    """

    run_id: str
    session_id: str | None
    status: RunStatus
    output: Any
    failure: Failure | None
    usage: RunUsage
    duration_ms: float
    ttft_ms: float | None
    agent: str
    version: str
    release: str
    stage: str
    runtime: str
    mode: str
    trace_id: str
    cached: bool = False
    fallbacks: tuple[dict[str, Any], ...] = ()
    refusal: PenstockError | None = None
    context_ref_id: str | None = None
    result_ref_id: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the run reached its output."""
        return self.status == "finished"

    def as_document(self) -> dict[str, Any]:
        """The result as a JSON object with camelCase keys."""
        return {
            "runId": self.run_id,
            "sessionId": self.session_id,
            "status": self.status,
            "output": self.output,
            "error": self.error,
            "usage": self.usage.as_document(),
            "durationMs": self.duration_ms,
            "ttftMs": self.ttft_ms,
            "agent": self.agent,
            "version": self.version,
            "release": self.release,
            "stage": self.stage,
            "runtime": self.runtime,
            "mode": self.mode,
            "traceId": self.trace_id,
            **({"cached": True} if self.cached else {}),
            "fallbacks": list(self.fallbacks),
            **({"contextRefId": self.context_ref_id} if self.context_ref_id is not None else {}),
            **({"resultRefId": self.result_ref_id} if self.result_ref_id is not None else {}),
        }

    @property
    def error(self) -> dict[str, Any] | None:
        """Why there is no output: code, what, where, now; all faults of a refused input, the facts of a limit."""
        if self.failure is None:
            return None
        faults = getattr(self.refusal, "faults", [])
        facts = self.refusal.facts if isinstance(self.refusal, LimitReached) else {}
        told = {**self.failure.as_document(), **facts}
        return {**told, **({"faults": [fault.as_dict() for fault in faults]} if faults else {})}

"""PAL: the one interface between the platform and the runtimes, and the two doors behind which everything happens.

An adapter receives an agent's release, the final messages and the doors; it asks models and tools through the doors
alone and returns the output text. Policy, limits, journal, events, cost and cancel are the engine's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.contracts.model import Price, Transport
from penstock.contracts.release import Release, ToolComponent
from penstock.contracts.runtime import Runtime as RuntimeDeclaration
from penstock.errors import PenstockError

Message = dict[str, Any]
"""A chat message in the common form: role, content, tool_calls, tool_call_id."""


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """A tool as the model sees it: name without version, description, JSON Schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]

    def as_function(self) -> dict[str, Any]:
        """The offer in the chat protocol's form."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A tool call that a model asked for; `arguments` is its JSON text, unchecked. `id` is the platform's."""

    id: str
    name: str
    arguments: str

    def as_call(self) -> dict[str, Any]:
        """The request in the chat protocol's form."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What the model reads of a call: a result as canonical JSON, or why there is none."""

    call_id: str
    name: str
    content: str
    ok: bool

    @property
    def message(self) -> Message:
        """The answer as a chat message."""
        return {"role": "tool", "tool_call_id": self.call_id, "content": self.content}


USD_DIGITS = 9
"""Decimals of a cost: a billionth of a USD."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model call used; `cost_usd` None = the price is unknown, an error in accounting and never 0.

    The cost is held in whole billionths of a USD: so sums come out the same in whatever order they are made.
    """

    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None

    def __post_init__(self) -> None:
        """Rounds the cost."""
        if self.cost_usd is not None:
            object.__setattr__(self, "cost_usd", round(self.cost_usd, USD_DIGITS))

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model said: text, tool calls or both."""

    content: str | None
    tool_requests: tuple[ToolRequest, ...]
    usage: Usage
    finish_reason: str = "stop"
    ttft_ms: float | None = None

    @property
    def message(self) -> Message:
        """The answer as a chat message."""
        message: Message = {"role": "assistant", "content": self.content}
        if self.tool_requests:
            message["tool_calls"] = [request.as_call() for request in self.tool_requests]
        return message


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a runtime is asked to do; `messages` is final: system prompt, history, user."""

    run_id: str
    messages: tuple[Message, ...]
    tools: tuple[ToolOffer, ...] = ()
    response_format: Mapping[str, Any] | None = None
    stream: bool = False


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What came of it: the output text, and the messages that the run added after `RunRequest.messages`."""

    output: str
    messages: tuple[Message, ...]


class LLMDoor(Protocol):
    """The only way to a model."""

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolOffer] = (),
        response_format: Mapping[str, Any] | None = None,
    ) -> ModelAnswer:
        """Asks the agent's model; raises when the run is over or the model failed (let it pass)."""
        ...


class ToolDoor(Protocol):
    """The only way to a tool."""

    async def call(self, request: ToolRequest) -> ToolAnswer:
        """Runs the call. A tool's failure, a denial, an unknown tool are answers; raises when the run is over."""
        ...


@dataclass(frozen=True, slots=True)
class Doors:
    """All that a runtime can reach."""

    llm: LLMDoor
    tools: ToolDoor


class Runtime(Protocol):
    """One runtime adapter; found by the entry-point group `penstock.runtimes`, called with its declaration."""

    declaration: RuntimeDeclaration

    async def run(self, agent: Release, request: RunRequest, doors: Doors) -> RunOutcome:
        """Runs the agent to its output. What is cached per release is keyed by `agent.digest`."""
        ...


class CallFailed(PenstockError):
    """A call through a door without a usable answer; `retryable` for network faults and rate limits.

    `retry_after_s` is what the other side asks to wait for, in seconds; None = it does not say.
    """

    http_status = 502

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        now: str = "",
        retryable: bool = False,
        retry_after_s: float | None = None,
        request_at_fault: bool = False,
    ) -> None:
        super().__init__(what, where=where, now=now)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.request_at_fault = request_at_fault
        """Whether the other side is well and does not take this request: that says nothing about the next one."""


class ModelFailed(CallFailed):
    """A model call without a usable answer."""

    slug = "model-failed"


class CallRefused(ModelFailed):
    """A model call that the provider refused by its status, or that never reached it: nobody charges for it."""


class ToolFailed(CallFailed):
    """A tool call without a usable result: it raised, timed out, broke its output schema or could not be loaded."""

    slug = "tool-failed"


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request to a provider. `parameters` may hold `{"secret": NAME}`, which the provider resolves.

    `traceparent` is the header that goes along, None where none is to.
    """

    ref: str
    model: str
    parameters: Mapping[str, Any]
    price: Price | None
    messages: Sequence[Message]
    tools: Sequence[ToolOffer] = ()
    response_format: Mapping[str, Any] | None = None
    timeout_s: float = 60.0
    on_delta: Callable[[str], None] | None = None
    transport: Transport = "litellm"
    traceparent: str | None = None


class ModelProvider(Protocol):
    """Speaks to model providers; behind the LLM door."""

    async def complete(self, call: ModelCall) -> ModelAnswer:
        """The answer, streamed through `on_delta` if that is given. Raises `ModelFailed`; a cancel closes the call."""
        ...


@dataclass(frozen=True, slots=True)
class ToolInvocation:
    """One call of a tool; `deadline` is on the monotonic clock, seconds; `traceparent` is for what the tool calls."""

    call_id: str
    idempotency_key: str
    deadline: float
    run_id: str
    agent: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None


class ToolRunner(Protocol):
    """Runs tools at their pinned code; behind the tool door."""

    async def run(self, tool: ToolComponent, call: ToolInvocation) -> dict[str, Any]:
        """The tool's result, not yet checked. Raises `ToolFailed`; a cancel or the deadline ends the tool."""
        ...

"""Agent: what an agent is to do, never how a runtime does it."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from penstock.contracts.caching import AgentCache
from penstock.contracts.context_budget import ContextBudget
from penstock.contracts.document import Document, JsonSchema, Metadata, Name, Spec
from penstock.contracts.model_choice import (
    COMPLEXITIES,
    DEFAULT_COMPLEXITY,
    Complexity,
    ComplexityChoice,
    ModelsByComplexity,
)
from penstock.contracts.reference import ModelRef, PolicyRef, PromptRef, ToolRef


class Pointer(Spec):
    """A value taken from the run's input."""

    from_: str = Field(
        alias="from", pattern=r"^(/.*)?$", description="A JSON pointer into the input, such as /product."
    )


Scalar = str | int | float | bool
PromptVariable = Scalar | list[Any] | Pointer


class ToolPin(Spec):
    """A tool at an exact version, with parameters that the model neither sees nor sets."""

    ref: ToolRef
    params: dict[str, Any] = Field(default_factory=dict, description="Checked against the tool's params schema.")


class Payload(Spec):
    """The shape of an input or an output."""

    schema_: JsonSchema = Field(alias="schema")


class RuntimeNeeds(Spec):
    """Capabilities that the runtime must declare; the router refuses one that does not."""

    tool_calling: bool = Field(False, description="The runtime passes tools to the model and calls them.")
    human_in_loop: bool = Field(False, description="The runtime can stop for a person and go on.")
    multimodal: bool = Field(False, description="The runtime passes images and audio.")
    streaming: bool = Field(False, description="The runtime passes tokens on as they come.")
    context_tokens: int = Field(0, ge=0, description="Context window that the runtime must not cut below, tokens.")


class RuntimeChoice(Spec):
    """Which runtime runs the agent; `stages/` may say otherwise per stage."""

    selector: Name | None = Field(None, description="A runtime declared in runtimes/; absent: the project's default.")
    requires: RuntimeNeeds = Field(default_factory=lambda: RuntimeNeeds.model_validate({}))


class Limits(Spec):
    """Hard limits of one run; the engine holds them, whatever the runtime does."""

    timeout_ms: int = Field(30_000, ge=1, le=86_400_000, description="Wall time of the run, milliseconds.")
    max_steps: int = Field(20, ge=1, le=10_000, description="Model calls and tool calls together, a repair included.")
    max_model_calls: int = Field(20, ge=1, le=10_000, description="Model calls, a repair included.")
    max_tokens: int = Field(100_000, ge=1, description="Prompt and completion tokens of all model calls together.")
    max_cost_usd: float | None = Field(None, gt=0, description="USD of all model calls together; absent: no limit.")
    concurrency: int | None = Field(None, ge=1, le=1_000_000, description="Runs of the agent at work at once.")
    rate_per_minute: int | None = Field(None, ge=1, le=100_000_000, description="Runs that begin in any minute.")
    queue_depth: int | None = Field(None, ge=0, le=1_000_000, description="Runs that wait; the next is refused.")


class Slo(Spec):
    """What the agent promises; a canary is judged by it."""

    success_rate: float = Field(0.99, ge=0, le=1, description="Share of runs that end as run.finished.")
    p95_ms: int | None = Field(None, ge=1, description="95th percentile of a run's duration, milliseconds.")
    cost_per_run_usd: float | None = Field(None, ge=0, description="Mean cost of a run, USD.")


class Routing(Spec):
    """How requests are spread over versions."""

    sticky_by: Literal["session", "user", "tenant"] = Field("session", description="Whose requests stay together.")


class RuleFallback(Spec):
    """What answers once the model's output broke its schema too often: exactly one of `template` and `tool`."""

    after_failures: int = Field(
        2, ge=1, le=5, description="Outputs that broke the schema; each but the last is followed by a repair turn."
    )
    template: dict[str, Any] | list[Any] | str | None = Field(
        None, description="The output; each {from: pointer} in it is a value of the input."
    )
    tool: ToolRef | None = Field(
        None, description="A tool that only reads, asked with input, faults and output; its result is the output."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> "RuleFallback":
        if (self.template is None) == (self.tool is None):
            raise ValueError("holds exactly one of template and tool")
        return self


class HumanFallback(Spec):
    """A person who decides on each call of these tools before it is made; the run waits for as long."""

    tools: list[Name] = Field(min_length=1, description="Names of tools of the agent, without versions.")
    expires_minutes: int = Field(1_440, ge=1, le=43_200, description="A call that nobody decided on is given up then.")
    on_expiry: Literal["reject", "fail"] = Field(
        "reject", description="reject = the model reads that the call was not made; fail = the run fails."
    )


class Fallback(Spec):
    """What stands in when the agent's own model does not answer, or must not decide alone."""

    models: list[ModelRef] = Field(
        default_factory=list, description="Spare models, asked in this order; each is part of the release."
    )
    rule: RuleFallback | None = Field(None, description="Absent: one repair turn, then the run fails.")
    human: HumanFallback | None = Field(None, description="Absent: no call waits for a person.")


class AgentSpec(Spec):
    """One version of an agent."""

    later: ClassVar[frozenset[str]] = frozenset({"skillRefs", "knowledgeRefs", "memoryRef", "subAgentRefs", "sunset"})
    mode: Literal["workflow", "conversational"] = Field(description="conversational = with the session's history.")
    prompt_ref: PromptRef
    prompt_variables: dict[str, PromptVariable] = Field(default_factory=dict, description="Values of the variables.")
    model_ref: ModelRef | ModelsByComplexity = Field(description="One model, or one for each complexity of a run.")
    complexity: ComplexityChoice | None = Field(
        None, description="With modelRef by complexity. Absent: what the caller says, else medium."
    )
    tool_refs: list[ToolRef | ToolPin] = Field(default_factory=list)
    policy_refs: list[PolicyRef] = Field(min_length=1, description="Without a rule that allows it, nothing is.")
    input: Payload
    output: Payload
    runtime: RuntimeChoice = Field(default_factory=lambda: RuntimeChoice.model_validate({}))
    limits: Limits = Field(default_factory=lambda: Limits.model_validate({}))
    slo: Slo = Field(default_factory=lambda: Slo.model_validate({}))
    routing: Routing = Field(default_factory=lambda: Routing.model_validate({}))
    fallback: Fallback | None = Field(None, description="Absent: a model that fails ends the run.")

    context: ContextBudget | None = Field(None, description="Absent: every request goes out whole.")

    cache: AgentCache | None = Field(None, description="Absent: every run does its work.")

    @property
    def models(self) -> list[str]:
        """Every pinned model, each once: those that may answer, the spare ones, the classifier."""
        if isinstance(self.model_ref, str):
            return self.models_for(DEFAULT_COMPLEXITY)
        found = [ref for complexity in COMPLEXITIES for ref in self.models_for(complexity)]
        classifier = self.complexity.classifier if self.complexity is not None else None
        return list(dict.fromkeys([*found, *([classifier] if classifier is not None else [])]))

    def models_for(self, complexity: Complexity) -> list[str]:
        """The models of a run in the order in which they are asked: one by its complexity, then the spare ones."""
        spares = self.fallback.models if self.fallback is not None else []
        if isinstance(self.model_ref, str):
            return [self.model_ref, *spares]
        chosen = self.model_ref.of(complexity)
        return [chosen, *(spare for spare in spares if spare != chosen)]

    @property
    def main_model(self) -> str:
        """The model of a run of which nothing else is known."""
        return self.models_for(DEFAULT_COMPLEXITY)[0]

    @property
    def tools(self) -> list[ToolPin]:
        """The pinned tools, bare references included."""
        return [pin if isinstance(pin, ToolPin) else ToolPin.model_validate({"ref": pin}) for pin in self.tool_refs]


class Agent(Document):
    """registry_repo/agents/<name>/<version>.yaml"""

    kind: Literal["Agent"]
    metadata: Metadata
    spec: AgentSpec

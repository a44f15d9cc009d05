"""Runtime: what a runtime declares it can do."""

from typing import Literal

from pydantic import Field

from penstock.contracts.document import Document, Name, NamedMetadata, Spec


class Capabilities(Spec):
    """What the runtime can do; the router refuses an agent that needs more."""

    modes: list[Literal["workflow", "conversational"]] = Field(min_length=1)
    tool_calling: bool = False
    human_in_loop: bool = False
    multimodal: bool = False
    streaming: bool = False
    max_context_tokens: int = Field(ge=1, description="The largest context that it passes on uncut, tokens.")


class RuntimeLimits(Spec):
    """What one executor may ask of the runtime."""

    concurrent_runs: int = Field(
        100, ge=1, le=100_000, description="Runs at once in one executor; more wait, or are refused."
    )


class RuntimeSpec(Spec):
    """One runtime and the adapter that drives it."""

    runtime: str = Field(min_length=1, description="The Python distribution of the runtime; penstock for `direct`.")
    versions: str = Field(description="PEP 440 range of versions that the adapter was tried with.")
    adapter: Name = Field(description="Entry point in the group penstock.runtimes.")
    capabilities: Capabilities
    limits: RuntimeLimits = Field(default_factory=lambda: RuntimeLimits.model_validate({}))


class Runtime(Document):
    """runtimes/<name>.yaml"""

    kind: Literal["Runtime"]
    metadata: NamedMetadata
    spec: RuntimeSpec

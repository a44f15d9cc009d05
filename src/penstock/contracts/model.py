"""Model: a provider's model with its parameters and price."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.document import Document, Metadata, Spec

Transport = Literal["litellm", "openai-compatible"]


class Price(Spec):
    """What tokens cost."""

    input_usd_per_1m: float = Field(alias="inputUsdPer1M", ge=0, description="USD per 1,000,000 prompt tokens.")
    output_usd_per_1m: float = Field(alias="outputUsdPer1M", ge=0, description="USD per 1,000,000 completion tokens.")


class ModelSpec(Spec):
    """One version of a model."""

    model: str = Field(
        min_length=1,
        description="LiteLLM's name, such as openai/gpt-5; with transport openai-compatible the name that is sent.",
    )
    transport: Transport = Field(
        "litellm", description="By LiteLLM, or straight to parameters.apiBase in OpenAI's chat protocol."
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Passed on with each call; apiKey only as {secret: NAME}."
    )
    timeout_ms: int | None = Field(
        None, ge=1, le=3_600_000, description="Wall time of one call, milliseconds; absent: what is left of the run's."
    )
    context_tokens: int = Field(ge=1, description="The model's context window, tokens.")
    price: Price | None = Field(None, description="Absent: LiteLLM's own table.")


class Model(Document):
    """registry_repo/models/<name>/<version>.yaml"""

    kind: Literal["Model"]
    metadata: Metadata
    spec: ModelSpec

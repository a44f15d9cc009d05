"""Model: a provider's model with its parameters and price."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.document import Document, Metadata, Spec


class Price(Spec):
    """What tokens cost."""

    input_usd_per_1m: float = Field(alias="inputUsdPer1M", ge=0, description="USD per 1,000,000 prompt tokens.")
    output_usd_per_1m: float = Field(alias="outputUsdPer1M", ge=0, description="USD per 1,000,000 completion tokens.")


class ModelSpec(Spec):
    """One version of a model."""

    model: str = Field(min_length=1, description="LiteLLM's name of the model, such as openai/gpt-5.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Passed on with each call; apiKey only as {secret: NAME}."
    )
    context_tokens: int = Field(ge=1, description="The model's context window, tokens.")
    price: Price | None = Field(None, description="Absent: LiteLLM's own table.")


class Model(Document):
    """registry_repo/models/<name>/<version>.yaml"""

    kind: Literal["Model"]
    metadata: Metadata
    spec: ModelSpec

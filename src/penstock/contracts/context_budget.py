"""ContextBudget: how much of a conversation goes to the model, and what happens to the rest."""

from typing import Literal

from pydantic import Field

from penstock.contracts.document import Spec


class ContextBudget(Spec):
    """What a request to the model may hold. The system prompt, the input and the last user message always stay."""

    max_tokens: int | None = Field(
        None, ge=1, description="Tokens of a request as the platform counts them; absent: what the model takes."
    )
    strategy: Literal["fifo", "summary"] = Field(
        "fifo", description="fifo = the oldest turns fall out; summary = the model sums up what falls out."
    )
    keep_turns: int = Field(
        1, ge=1, le=1_000, description="The newest turns, beside the last user message, that never fall out."
    )
    tool_result_characters: int = Field(
        4_000, ge=200, le=10_000_000, description="A longer result of a tool keeps its head and its tail alone."
    )

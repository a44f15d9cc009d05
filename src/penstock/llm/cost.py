"""What a call cost: by the model's own price, else by LiteLLM's table; unknown is unknown, never 0."""

from typing import Any

from penstock.contracts.model import Price

_MILLION = 1_000_000


def cost_usd(litellm: Any, model: str, price: Price | None, tokens: tuple[int, int]) -> float | None:
    """USD for (prompt, completion) tokens; None where neither the spec nor LiteLLM's table has a price."""
    prompt, completion = tokens
    if price is not None:
        return (prompt * price.input_usd_per_1m + completion * price.output_usd_per_1m) / _MILLION
    entry = litellm.model_cost.get(model) or litellm.model_cost.get(model.partition("/")[2])
    if not entry or "input_cost_per_token" not in entry or "output_cost_per_token" not in entry:
        return None
    try:
        parts = litellm.cost_per_token(model=model, prompt_tokens=prompt, completion_tokens=completion)
    except Exception:  # LiteLLM raises bare exceptions for a model that it cannot price
        return None
    return float(sum(parts))

"""What a call cost: by the model's own price, else by LiteLLM's table; unknown is unknown, never 0."""

from typing import Any

from penstock.contracts.model import Price
from penstock.registry.price_table import table_cost_usd

_MILLION = 1_000_000


def known_cost_usd(model: str, price: Price | None, tokens: tuple[int, int]) -> float | None:
    """USD for (prompt, completion) tokens, without LiteLLM's import; None where neither spec nor table has a price."""
    return table_cost_usd(model, *tokens) if price is None else _by_price(price, *tokens)


def cost_usd(litellm: Any, model: str, price: Price | None, tokens: tuple[int, int]) -> float | None:
    """The same where LiteLLM is loaded, which knows providers' exceptions beyond its table."""
    prompt, completion = tokens
    if price is not None:
        return _by_price(price, prompt, completion)
    entry = litellm.model_cost.get(model) or litellm.model_cost.get(model.partition("/")[2])
    if not entry or "input_cost_per_token" not in entry or "output_cost_per_token" not in entry:
        return None
    try:
        parts = litellm.cost_per_token(model=model, prompt_tokens=prompt, completion_tokens=completion)
    except Exception:  # LiteLLM raises bare exceptions for a model that it cannot price
        return None
    return float(sum(parts))


def _by_price(price: Price, prompt_tokens: int, completion_tokens: int) -> float:
    return (prompt_tokens * price.input_usd_per_1m + completion_tokens * price.output_usd_per_1m) / _MILLION

"""CostBound: the most that one call of a model can cost, before anybody knows its answer."""

from dataclasses import dataclass
from typing import Any

from penstock.contracts.model import ModelSpec
from penstock.registry.model_checks import SCRIPTED, snake_case
from penstock.registry.price_table import price_row

_COMPLETION_BOUNDS = frozenset({"max_tokens", "max_completion_tokens"})
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class CostBound:
    """Prices in USD a token, and the most tokens that an answer can have."""

    prompt_usd: float
    completion_usd: float
    completion_tokens: int

    def usd(self, request_bytes: int) -> float:
        """USD of a call whose canonical request has so many bytes: a token stands for one byte at least.

        Roles, separators and schemas, which a provider counts as well, are part of that text.
        """
        return request_bytes * self.prompt_usd + self.completion_tokens * self.completion_usd


def cost_bound(spec: ModelSpec) -> CostBound | None:
    """The bound of a model by its own price, else by the dearest one of LiteLLM's table; None if there is no price.

    What bounds an answer is what the provider is told (parameters.maxTokens or maxCompletionTokens, n answers of it),
    else its own limit where LiteLLM's table knows it, else the context window. An agent's limits.maxTokens bounds
    nothing before the answer is there.
    """
    parameters = {snake_case(name): value for name, value in spec.parameters.items()}
    told = [value for name, value in parameters.items() if name in _COMPLETION_BOUNDS and _is_count(value)]
    is_all_here = spec.price is not None and (told or spec.model.startswith(SCRIPTED))
    row: dict[str, Any] = {} if is_all_here else price_row(spec.model) or {}
    if spec.price is not None:
        prices = spec.price.input_usd_per_1m / _MILLION, spec.price.output_usd_per_1m / _MILLION
    elif row:
        prices = _dearest(row, "input_cost_per_token"), _dearest(row, "output_cost_per_token")
    else:
        return None
    own = row.get("max_output_tokens")
    tokens = min([*told, spec.context_tokens] if told or not _is_count(own) else [own, spec.context_tokens])
    answers = parameters.get("n")
    return CostBound(*prices, tokens * (answers if _is_count(answers) else 1))


def _dearest(row: dict[str, Any], name: str) -> float:
    """The price of long prompts included."""
    prices = [value for key, value in row.items() if key == name or key.startswith(f"{name}_above_")]
    return max(float(price) for price in prices if isinstance(price, int | float))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0

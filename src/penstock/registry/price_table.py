"""LiteLLM's table of prices and context windows, read as a file: the package is found and never imported."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PRICE_TABLE = "model_prices_and_context_window_backup.json"

_LONG_PROMPT = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")


@cache
def price_row(model: str) -> dict[str, Any] | None:
    """What the table says of a model that it knows a price of, else None."""
    rows = table_rows(model)
    return next((row for row in rows if "input_cost_per_token" in row and "output_cost_per_token" in row), None)


def table_rows(model: str) -> list[dict[str, Any]]:
    """What the table says of a model, first by its whole name, then without the provider before it."""
    names = (model, model.partition("/")[2])
    return [_price_table()[name] for name in names if name in _price_table()]


def table_cost_usd(model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    """USD by the table; None where it has no price. Some models cost more once the prompt is over a size."""
    row = price_row(model)
    if row is None:
        return None
    sizes = (int(found[1]) for name in row if (found := _LONG_PROMPT.fullmatch(name)))
    above = max((size for size in sizes if prompt_tokens > size * 1_000), default=None)
    suffix = "" if above is None else f"_above_{above}k_tokens"
    output = row.get(f"output_cost_per_token{suffix}", row["output_cost_per_token"])
    return float(prompt_tokens * row[f"input_cost_per_token{suffix}"] + completion_tokens * output)


@cache
def _price_table() -> dict[str, dict[str, Any]]:
    """Empty where LiteLLM is not installed."""
    import orjson

    found = find_spec("litellm")
    for folder in (found.submodule_search_locations or []) if found else []:
        file = Path(folder) / PRICE_TABLE
        if file.is_file():
            table: dict[str, dict[str, Any]] = orjson.loads(file.read_bytes())
            return table
    return {}

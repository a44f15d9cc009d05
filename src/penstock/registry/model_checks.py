"""Models: parameters that are safe to pass on, and a price where an agent limits its cost."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path as File
from typing import Any

from penstock.registry.documents import Loaded, Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.strict_yaml import Path

SCRIPTED = "scripted/"
PRICE_TABLE = "model_prices_and_context_window_backup.json"

# What the engine and the provider set themselves, or what would send a run elsewhere than the spec says.
_RESERVED_WORDS = """
    model messages tools tool_choice functions function_call parallel_tool_calls stream stream_options response_format
    timeout request_timeout stream_timeout max_retries num_retries retry_policy fallbacks context_window_fallback_dict
    callbacks success_callback failure_callback logger_fn mock_response mock_tool_calls mock_timeout metadata
    litellm_metadata litellm_params litellm_call_id litellm_logging_obj litellm_trace_id custom_llm_provider client
    acompletion cache caching model_list deployment_id input_cost_per_token output_cost_per_token shared_session
    extra_headers headers prompt_id prompt_variables no_log verbose custom_prompt_dict base_model use_client
"""
RESERVED = frozenset(_RESERVED_WORDS.split())
_SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CREDENTIAL = re.compile(r"(^|_)(api_key|access_key|access_key_id|secret|secret_key|token|password|credentials?)$")


def check_models(registry: Registry, faults: FaultList) -> None:
    """Every model's parameters; scripted models carry their own price."""
    for model in registry.of("models"):
        for name, value in model.spec.parameters.items():
            _check_parameter(model, name, value, faults)
        if model.spec.model.startswith(SCRIPTED) and model.spec.price is None:
            faults.blame(model.path, ("spec",), "a scripted model carries its own price", "add spec.price")


def check_costs(registry: Registry, faults: FaultList) -> None:
    """A cost limit needs a price: of the spec, or of LiteLLM's table."""
    for agent in registry.of("agents"):
        if agent.spec.limits.max_cost_usd is None:
            continue
        for ref in agent.spec.models:
            model = registry.find(ref)
            if model is None or model.spec.price is not None:
                continue
            if model.spec.model.startswith(SCRIPTED) or has_known_price(model.spec.model):
                continue
            what = f"{ref} ({model.spec.model}) has no price, neither its own nor in LiteLLM's table"
            faults.blame(agent.path, ("spec", "limits", "maxCostUsd"), what, "add spec.price to the model")


def has_known_price(model: str) -> bool:
    """Whether LiteLLM's table says what a model's tokens cost; False where LiteLLM is not installed."""
    names = [model, model.partition("/")[2]]
    rows = [_price_table().get(name, {}) for name in names if name]
    return any("input_cost_per_token" in row and "output_cost_per_token" in row for row in rows)


@cache
def _price_table() -> dict[str, dict[str, Any]]:
    """LiteLLM's own table, read as a file: the package is found and never imported."""
    import orjson

    found = find_spec("litellm")
    for folder in (found.submodule_search_locations or []) if found else []:
        file = File(folder) / PRICE_TABLE
        if file.is_file():
            table: dict[str, dict[str, Any]] = orjson.loads(file.read_bytes())
            return table
    return {}


def _check_parameter(model: Loaded, name: str, value: Any, faults: FaultList) -> None:
    place: Path = ("spec", "parameters", name)
    plain = snake_case(name)
    if plain in RESERVED:
        faults.blame(model.path, place, f"{name!r} is set by the engine", "remove it", key=True)
    elif _CREDENTIAL.search(plain) and not is_secret(value):
        faults.blame(model.path, place, f"{name!r} must be a reference to a secret", f"{name}: {{secret: NAME}}")
    else:
        _check_secrets(model, place, value, faults)


def _check_secrets(model: Loaded, place: Path, value: Any, faults: FaultList) -> None:
    """`{secret: NAME}` is exactly that, wherever it stands."""
    if isinstance(value, dict):
        if "secret" in value and not is_secret(value):
            faults.blame(model.path, place, "is no reference to a secret", "{secret: NAME} and nothing beside it")
            return
        for key, inner in value.items():
            _check_secrets(model, (*place, key), inner, faults)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            _check_secrets(model, (*place, position), inner, faults)


def is_secret(value: Any) -> bool:
    """Whether a value is `{secret: NAME}`."""
    if not isinstance(value, dict) or value.keys() != {"secret"}:
        return False
    return isinstance(value["secret"], str) and _SECRET_NAME.fullmatch(value["secret"]) is not None


def snake_case(name: str) -> str:
    """`apiKey` and `api_key` as one: api_key."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()

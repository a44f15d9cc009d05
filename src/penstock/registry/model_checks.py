"""Models: parameters that are safe to pass on, and a price where an agent limits its cost."""

import re
from typing import Any
from urllib.parse import urlsplit

from penstock.registry.documents import Loaded, Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.price_table import price_row
from penstock.registry.strict_yaml import Path

SCRIPTED = "scripted/"

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
LITELLMS_OWN = frozenset({"base_url", "api_version", "drop_params", "allowed_openai_params", "additional_drop_params"})
_SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CREDENTIAL = re.compile(r"(^|_)(api_key|access_key|access_key_id|secret|secret_key|token|password|credentials?)$")


def check_models(registry: Registry, faults: FaultList) -> None:
    """Every model's parameters; scripted models carry their own price."""
    for model in registry.of("models"):
        for name, value in model.spec.parameters.items():
            _check_parameter(model, name, value, faults)
        if model.spec.model.startswith(SCRIPTED) and model.spec.price is None:
            faults.blame(model.path, ("spec",), "a scripted model carries its own price", "add spec.price")
        if model.spec.transport == "openai-compatible":
            _check_endpoint(model, faults)


def _check_endpoint(model: Loaded, faults: FaultList) -> None:
    """What the lean transport needs, and what only LiteLLM knows."""
    spec, transport = model.spec, "the transport openai-compatible"
    if spec.model.startswith(SCRIPTED):
        faults.blame(model.path, ("spec", "transport"), f"{transport} does not reach the scripted model", "remove it")
        return
    by_name = {snake_case(name): (name, value) for name, value in spec.parameters.items()}
    if "api_base" not in by_name:
        where: Path = ("spec", "parameters") if spec.parameters else ("spec",)
        faults.blame(model.path, where, f"{transport} needs parameters.apiBase", "apiBase: https://llm.example.com/v1")
    else:
        name, value = by_name["api_base"]
        if not _is_plain_url(value):
            what = f"{name!r} must be an http or https URL without user, query and fragment"
            faults.blame(model.path, ("spec", "parameters", name), what, "such as https://llm.example.com/v1")
    for plain in sorted(LITELLMS_OWN & by_name.keys()):
        name = by_name[plain][0]
        what = f"{name!r} is LiteLLM's own, and {transport} does without LiteLLM"
        faults.blame(model.path, ("spec", "parameters", name), what, "remove it", key=True)


def _is_plain_url(value: Any) -> bool:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        is_whole = parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port if parts is not None else None
    except ValueError:
        return False
    return is_whole and parts is not None and not (parts.username or parts.password or parts.query or parts.fragment)


def check_costs(registry: Registry, faults: FaultList) -> None:
    """A cost limit needs a price: of the spec, or of LiteLLM's table."""
    for agent in registry.of("agents"):
        if agent.spec.limits.max_cost_usd is None:
            continue
        for ref in agent.spec.models:
            model = registry.find(ref)
            if model is None or model.spec.price is not None:
                continue
            if model.spec.model.startswith(SCRIPTED) or price_row(model.spec.model) is not None:
                continue
            what = f"{ref} ({model.spec.model}) has no price, neither its own nor in LiteLLM's table"
            faults.blame(agent.path, ("spec", "limits", "maxCostUsd"), what, "add spec.price to the model")


def _check_parameter(model: Loaded, name: str, value: Any, faults: FaultList) -> None:
    place: Path = ("spec", "parameters", name)
    plain = snake_case(name)
    if plain in RESERVED:
        faults.blame(model.path, place, f"{name!r} is set by the engine", "remove it", key=True)
    elif is_credential(plain) and not is_secret(value):
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


def is_credential(name: str) -> bool:
    """Whether a name in snake_case is one of what must not stand in a file."""
    return _CREDENTIAL.search(name) is not None


def is_secret(value: Any) -> bool:
    """Whether a value is `{secret: NAME}`."""
    if not isinstance(value, dict) or value.keys() != {"secret"}:
        return False
    return isinstance(value["secret"], str) and _SECRET_NAME.fullmatch(value["secret"]) is not None


def snake_case(name: str) -> str:
    """`apiKey` and `api_key` as one: api_key."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()

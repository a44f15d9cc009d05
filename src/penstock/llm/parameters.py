"""A model spec's parameters, made ready for a call: the chat protocol's names, secrets, and what no spec may set."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from penstock.pal import ModelCall, ModelFailed

_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_PLATFORMS_OWN_TEXT = """
model messages tools response_format stream stream_options timeout request_timeout num_retries max_retries
fallbacks context_window_fallback_dict client shared_session callbacks success_callback failure_callback caching
cache mock_response mock_tool_calls mock_timeout mock_delay input_cost_per_token output_cost_per_token metadata
litellm_call_id logger_fn acompletion
"""
_PLATFORMS_OWN = frozenset(_PLATFORMS_OWN_TEXT.split())


def ready_parameters(call: ModelCall, secrets: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The parameters in the protocol's spelling, and the secrets' values in them, which no text may show.

    Raises `ModelFailed` naming a secret that is not there, or a parameter that is the platform's own.
    """
    hidden: list[str] = []
    ready: dict[str, Any] = {}
    for name, value in call.parameters.items():
        key = _snake_case(name)
        if key in _PLATFORMS_OWN or key.startswith("_"):
            raise ModelFailed(
                f"parameter {name!r} is set by the platform, a model may not set it",
                where=call.ref,
                now="remove it from the model's spec.parameters",
            )
        ready[key] = _resolved(value, secrets, call, hidden)
    return ready, tuple(hidden)


@lru_cache(maxsize=1_024)
def _snake_case(name: str) -> str:
    return _CAMEL.sub(r"_\1", name).lower()


def _resolved(value: Any, secrets: Mapping[str, str], call: ModelCall, hidden: list[str]) -> Any:
    if isinstance(value, list):
        return [_resolved(item, secrets, call, hidden) for item in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) != {"secret"} or not isinstance(value["secret"], str):
        return {key: _resolved(item, secrets, call, hidden) for key, item in value.items()}
    name = value["secret"]
    found = secrets.get(name)
    if not found:
        raise ModelFailed(
            f"secret {name} is not set",
            where=call.ref,
            now=f"set the environment variable {name} where the model is called",
        )
    hidden.append(found)
    return found

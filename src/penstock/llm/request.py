"""From a platform model call to LiteLLM's keyword arguments: names, secrets, and what no model spec may set."""

import math
import re
from collections.abc import Mapping
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


def request_of(call: ModelCall, secrets: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The arguments of `acompletion`, and the secrets' values in them, which no text may show.

    Raises `ModelFailed` naming a secret that is not there, or a parameter that is the platform's own.
    """
    hidden: list[str] = []
    request: dict[str, Any] = {}
    for name, value in call.parameters.items():
        key = _CAMEL.sub(r"_\1", name).lower()
        if key in _PLATFORMS_OWN or key.startswith("_"):
            raise ModelFailed(
                f"parameter {name!r} is set by the platform, a model may not set it",
                where=call.ref,
                now="remove it from the model's spec.parameters",
            )
        request[key] = _resolved(value, secrets, call, hidden)
    request |= {
        "model": call.model,
        "messages": [dict(message) for message in call.messages],
        "timeout": float(math.ceil(call.timeout_s)),  # a client is kept for each value; the exact one is held outside
        "max_retries": 0,
        "num_retries": 0,
        "_skip_mcp_handler": True,  # tools are functions; LiteLLM's gateway needs a package and reads each of them
    }
    if call.traceparent is not None:
        request["extra_headers"] = {**(request.get("extra_headers") or {}), "traceparent": call.traceparent}
    if call.tools:
        request["tools"] = [tool.as_function() for tool in call.tools]
    if call.response_format is not None:
        request["response_format"] = dict(call.response_format)
    if call.on_delta is not None:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    return request, tuple(hidden)


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

"""From a platform model call to LiteLLM's keyword arguments."""

import math
from collections.abc import Mapping
from typing import Any

from penstock.llm.parameters import ready_parameters
from penstock.pal import ModelCall


def request_of(call: ModelCall, secrets: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The arguments of `acompletion`, and the secrets' values in them; raises as `ready_parameters`."""
    request, hidden = ready_parameters(call, secrets)
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
    return request, hidden

"""From a platform model call to one HTTP request in OpenAI's chat protocol."""

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import orjson

from penstock.llm.parameters import ready_parameters
from penstock.pal import ModelCall, ModelFailed

_ABOUT_THE_ACCOUNT = {"organization": "openai-organization", "project": "openai-project"}


@dataclass(frozen=True, slots=True)
class HttpOrder:
    """A request that is ready to be sent; `hidden` are the secrets' values in it, `proxy` is None for none."""

    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    proxy: str | None
    hidden: tuple[str, ...] = field(repr=False)


def order_of(call: ModelCall, secrets: Mapping[str, str]) -> HttpOrder:
    """Raises `ModelFailed` naming a secret that is not there, or a parameter that is missing or the platform's own."""
    fields, hidden = ready_parameters(call, secrets)
    base = fields.pop("api_base", None)
    if not isinstance(base, str):
        what = "the transport openai-compatible needs parameters.apiBase"
        raise ModelFailed(what, where=call.ref, now="add it to the model's spec")
    headers = _headers(call, fields)
    extra = fields.pop("extra_body", None)
    if isinstance(extra, dict):
        fields |= extra
    fields["model"], fields["messages"] = call.model, call.messages
    if call.tools:
        fields["tools"] = [tool.as_function() for tool in call.tools]
    if call.response_format is not None:
        fields["response_format"] = call.response_format
    if call.on_delta is not None:
        fields["stream"], fields["stream_options"] = True, {"include_usage": True}
    url, proxy = _place(base)
    return HttpOrder(url, headers, orjson.dumps(fields), proxy, hidden)


def _headers(call: ModelCall, fields: dict[str, Any]) -> dict[str, str]:
    """The request's headers; what stands in them is no longer in `fields`."""
    headers = {
        "content-type": "application/json",
        "accept": "application/json" if call.on_delta is None else "text/event-stream",
        "accept-encoding": "identity",
    }
    key = fields.pop("api_key", None)
    if key is not None:
        headers["authorization"] = f"Bearer {_sendable(key, 'apiKey', call)}"
    for name, header in _ABOUT_THE_ACCOUNT.items():
        if name in fields:
            headers[header] = _sendable(fields.pop(name), name, call)
    for name, value in (fields.pop("extra_headers", None) or {}).items():
        headers[name] = _sendable(value, name, call)
    if call.traceparent is not None:
        headers["traceparent"] = call.traceparent
    return headers


def _sendable(value: Any, name: str, call: ModelCall) -> str:
    if isinstance(value, str) and value.isascii() and value.isprintable():
        return value
    what = f"parameter {name!r} holds what no HTTP header can"
    raise ModelFailed(what, where=call.ref, now="see whether a line break came with the secret's value")


@lru_cache(maxsize=256)
def _place(base: str) -> tuple[str, str | None]:
    """The address of chat completions, and the environment's proxy for it (HTTPS_PROXY, HTTP_PROXY, NO_PROXY)."""
    url = f"{base.rstrip('/')}/chat/completions"
    parts = urlsplit(url)
    host = parts.hostname or ""
    if urllib.request.proxy_bypass(host):
        return url, None
    return url, urllib.request.getproxies_environment().get(parts.scheme)

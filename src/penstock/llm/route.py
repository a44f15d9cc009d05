"""Where LiteLLM would send a model's calls, and how: known from its tables alone, nothing is called."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from penstock.llm.load import load
from penstock.llm.scripted.handler import PROVIDER
from penstock.registry.price_table import table_rows

# Providers that go to the apiBase given, in the chat protocol, with the key given, and reach out to nothing else:
# each was tried against the model server with all other connections refused. What is not here may look something up
# elsewhere, and is never called.
_CHAT_TEXT = """
ai21 ai21_chat aiml apertis assemblyai baseten cerebras charity_engine chutes codestral cognition cometapi
compactifai cortecs custom_openai dashscope deepinfra deepseek docker_model_runner edenai empower featherless_ai
fireworks_ai friendliai galadriel github helicone hosted_vllm hyperbolic inception lambda_ai lemonade libertai
litellm_proxy llamafile lm_studio meta meta_llama minimax mistral modelscope moonshot nano-gpt nebius novita
nscale nvidia_nim openai openrouter ovhcloud parasail perplexity poe publicai reka sambanova scaleway synthetic tencent
together_ai vercel_ai_gateway volcengine wandb xai xiaomi_mimo xinference zai
"""
_CHAT = frozenset(_CHAT_TEXT.split())
# Where calls go and who pays: no part of what a model is asked.
CONNECTION = frozenset({"api_key", "api_base", "base_url", "api_version", "organization", "project"})


@dataclass(frozen=True, slots=True)
class Route:
    """A provider ("" = LiteLLM knows none) and the model's name there.

    in-process = the scripted model; chat = the provider's protocol is the one that the model server speaks; other = it
    is not, and `why` says so.
    """

    provider: str
    name: str
    kind: Literal["in-process", "chat", "other"]
    why: str = ""


def route_of(model: str) -> Route:
    """The route of LiteLLM's name of a model; raises `Unavailable` where LiteLLM is not installed."""
    litellm: Any = load()
    prefix, _, rest = model.partition("/")
    if prefix == PROVIDER:
        return Route(PROVIDER, rest, "in-process")
    providers = {str(getattr(one, "value", one)) for one in litellm.provider_list}
    own = litellm.model_cost.get(model) or {}
    provider, name = (prefix, rest) if rest and prefix in providers else (str(own.get("litellm_provider", "")), model)
    mode = (own or litellm.model_cost.get(rest) or {}).get("mode") or "chat"
    if not provider:
        return Route("", name, "other", f"LiteLLM knows no provider of {model!r}")
    if name.startswith("responses/") or mode != "chat":
        return Route(provider, name, "other", f"LiteLLM asks {model} by another interface than chat ({mode})")
    if provider not in _CHAT:
        return Route(provider, name, "other", f"{provider} has a protocol of its own")
    return Route(provider, name, "chat")


def unmapped_parameters(route: Route, names: Iterable[str]) -> list[str]:
    """Those of the chat protocol's parameters, in LiteLLM's spelling, that LiteLLM cannot hand to this provider."""
    litellm: Any = load()
    supported = litellm.get_supported_openai_params(route.name, custom_llm_provider=route.provider) or []
    standard = set(litellm.OPENAI_CHAT_COMPLETION_PARAMS) - CONNECTION
    return sorted(name for name in names if name in standard and name not in supported)


def known_context_tokens(model: str) -> int | None:
    """The context window by LiteLLM's table, tokens; None where it has none."""
    found = (row.get("max_input_tokens") for row in table_rows(model))
    return next((tokens for tokens in found if isinstance(tokens, int)), None)

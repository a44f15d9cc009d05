"""The scripted models as a LiteLLM provider: `scripted/qa-rules` goes through LiteLLM like any other model."""

import importlib
from collections.abc import AsyncIterator
from typing import Any

from penstock.llm.scripted.answer import FINGERPRINT, MODELS, ScriptedAnswer, answer

PROVIDER = "scripted"


def register(litellm: Any) -> None:
    """Makes the provider known to LiteLLM."""
    litellm.custom_provider_map = [{"provider": PROVIDER, "custom_handler": _handler(litellm)}]
    importlib.import_module("litellm.utils").custom_llm_setup()


def _handler(litellm: Any) -> Any:
    error = importlib.import_module("litellm.llms.custom_llm").CustomLLMError

    class ScriptedModel(litellm.CustomLLM):  # type: ignore[misc] # LiteLLM is imported at run time only
        """Answers by the rules of `penstock.llm.scripted.answer`."""

        async def acompletion(self, model: str, messages: list[Any], *args: Any, **kwargs: Any) -> Any:
            """The whole answer."""
            told = _answer(model, messages, kwargs["optional_params"], error)
            message: dict[str, Any] = {"role": "assistant", "content": told.content}
            if told.calls:
                message["tool_calls"] = _tool_calls(told)
            choice = {"index": 0, "message": message, "finish_reason": told.finish_reason}
            usage = _usage(told)
            return litellm.ModelResponse(
                model=model, choices=[choice], usage=usage, system_fingerprint=FINGERPRINT, stream=False
            )

        async def astreaming(
            self, model: str, messages: list[Any], *args: Any, **kwargs: Any
        ) -> AsyncIterator[dict[str, Any]]:
            """The answer in pieces; the last one has the reason and the usage."""
            told = _answer(model, messages, kwargs["optional_params"], error)
            for position, call in enumerate(_tool_calls(told)):
                yield _chunk(tool_use={**call, "index": position})
            for piece in told.pieces():
                yield _chunk(text=piece)
            yield _chunk(finish_reason=told.finish_reason, is_finished=True, usage=_usage(told))

    return ScriptedModel()


def _answer(model: str, messages: list[Any], parameters: dict[str, Any], error: type[Exception]) -> ScriptedAnswer:
    name = model.removeprefix(f"{PROVIDER}/")
    if name not in MODELS:
        raise error(404, f"the scripted provider has no model {model!r}, only {' and '.join(MODELS)}")
    return answer(messages, parameters.get("tools") or (), parameters.get("response_format"), name)


def _tool_calls(told: ScriptedAnswer) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in told.calls
    ]


def _usage(told: ScriptedAnswer) -> dict[str, int]:
    return {
        "prompt_tokens": told.prompt_tokens,
        "completion_tokens": told.completion_tokens,
        "total_tokens": told.prompt_tokens + told.completion_tokens,
    }


def _chunk(
    text: str = "",
    tool_use: dict[str, Any] | None = None,
    finish_reason: str = "",
    is_finished: bool = False,
    usage: dict[str, int] | None = None,
) -> dict[str, Any]:
    return {
        "text": text,
        "tool_use": tool_use,
        "is_finished": is_finished,
        "finish_reason": finish_reason,
        "usage": usage,
        "index": 0,
    }

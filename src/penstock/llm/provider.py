"""LiteLLMProvider: the model door's far side. LiteLLM's `acompletion` itself, without router, retries or client."""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any

from penstock.llm.cost import cost_usd
from penstock.llm.load import load, loaded
from penstock.llm.refusal import model_failed, timed_out
from penstock.llm.request import request_of
from penstock.llm.response import first_choice, must_say_something, part, said, tokens_of
from penstock.llm.stream import StreamedAnswer
from penstock.pal import ModelAnswer, ModelCall, Usage

_CLOSING_S = 1.0


class LiteLLMProvider:
    """Speaks to every provider that LiteLLM knows, and to the scripted model.

    `secrets` are the values behind `{"secret": NAME}`, looked up at each call; by default the process's environment.
    """

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self._secrets = os.environ if secrets is None else secrets

    async def complete(self, call: ModelCall) -> ModelAnswer:
        """The answer. Raises `ModelFailed`, never with a secret's value in it; a cancel closes the connection."""
        litellm: Any = loaded() or await asyncio.to_thread(load)
        request, hidden = request_of(call, self._secrets)
        try:
            async with asyncio.timeout(call.timeout_s):
                if call.on_delta is None:
                    return _whole(litellm, await litellm.acompletion(**request), call)
                return await _streamed(litellm, request, call)
        except TimeoutError:
            raise timed_out(call) from None
        except Exception as error:
            raise model_failed(error, call, hidden) from None


def _whole(litellm: Any, response: Any, call: ModelCall) -> ModelAnswer:
    choice = first_choice(response, call)
    content, requests = said(choice, call)
    usage = _usage(litellm, part(response, "usage"), call)
    return ModelAnswer(content, requests, usage, str(part(choice, "finish_reason") or "stop"))


async def _streamed(litellm: Any, request: dict[str, Any], call: ModelCall) -> ModelAnswer:
    answer = StreamedAnswer(call, time.monotonic())
    stream = await litellm.acompletion(**request)
    try:
        async for chunk in stream:
            answer.take(chunk)
    finally:
        async with asyncio.timeout(_CLOSING_S):
            await stream.aclose()
    requests = answer.requests
    must_say_something(answer.content, requests, call)
    usage = _usage(litellm, answer.usage, call)
    return ModelAnswer(answer.content, requests, usage, answer.finish_reason or "stop", answer.ttft_ms)


def _usage(litellm: Any, reported: Any, call: ModelCall) -> Usage:
    tokens = tokens_of(reported, call)
    return Usage(*tokens, cost_usd(litellm, call.model, call.price, tokens))

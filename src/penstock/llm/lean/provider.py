"""LeanProvider: model calls over aiohttp, with the same answers, checks and errors as `LiteLLMProvider`."""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any

import orjson

from penstock.http_session import KEEP_ALIVE_S, BodyTooLong, LoopSessions, load_aiohttp, read_bounded
from penstock.llm.cost import known_cost_usd
from penstock.llm.lean.event_data import EventData, EventTooLong
from penstock.llm.lean.order import HttpOrder, order_of
from penstock.llm.refusal import connection_failed, garbled, refused, safe_code, timed_out
from penstock.llm.response import first_choice, must_say_something, part, said, tokens_of
from penstock.llm.stream import StreamedAnswer
from penstock.pal import ModelAnswer, ModelCall, ModelFailed, Usage

ANSWER_BYTES = 16 * 1024 * 1024
"""Most bytes of one answer, streamed or whole."""
REFUSAL_BYTES = 64 * 1024
_TRAILER_S = 0.05
_DONE = b"[DONE]"
_SERVER_FAULT = 500


class LeanProvider:
    """Speaks to one kind of endpoint, that of OpenAI's chat completions; `secrets` as in `LiteLLMProvider`.

    Connections are kept alive, as many as there are calls at once. Redirects are not followed.
    """

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self._secrets = os.environ if secrets is None else secrets
        self._sessions = LoopSessions(
            lambda aiohttp: aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=10)
        )

    async def complete(self, call: ModelCall) -> ModelAnswer:
        """The answer. Raises `ModelFailed`, never with a secret's value in it; a cancel closes the connection."""
        session = await self._sessions.session()
        aiohttp = load_aiohttp()
        order = order_of(call, self._secrets)
        try:
            async with asyncio.timeout(call.timeout_s):
                return await _answer(session, order, call)
        except TimeoutError:
            raise timed_out(call) from None
        except aiohttp.ClientResponseError:
            raise garbled(call, "an answer that is no HTTP") from None
        except (BodyTooLong, EventTooLong):
            raise garbled(call, "an answer that is too long to be read") from None
        except aiohttp.ClientConnectorError:
            raise connection_failed(call, was_made=False) from None
        except (aiohttp.ClientError, OSError):
            raise connection_failed(call) from None

    async def close(self) -> None:
        """Closes the connections of the running loop."""
        await self._sessions.close()


async def _answer(session: Any, order: HttpOrder, call: ModelCall) -> ModelAnswer:
    started = time.monotonic()
    response = await session.post(
        order.url, data=order.body, headers=order.headers, proxy=order.proxy, allow_redirects=False
    )
    try:
        if response.status != 200:
            raise await _refusal(response, order, call)
        if call.on_delta is None:
            return _whole(await read_bounded(response, ANSWER_BYTES), call)
        return await _streamed(response, call, started)
    finally:
        response.release()  # closes the connection, unless all was read


def _whole(body: bytes, call: ModelCall) -> ModelAnswer:
    document = _parsed(body, call)
    choice = first_choice(document, call)
    content, requests = said(choice, call)
    return ModelAnswer(
        content, requests, _usage(document.get("usage"), call), str(part(choice, "finish_reason") or "stop")
    )


async def _streamed(response: Any, call: ModelCall, started: float) -> ModelAnswer:
    if response.content_type != "text/event-stream":
        raise garbled(call, "an answer that is no event stream")
    answer = StreamedAnswer(call, started)
    if not await _take_events(response, answer, call) and not answer.finish_reason:
        raise connection_failed(call)  # it ended in the middle, in a way that HTTP does not notice
    requests = answer.requests
    must_say_something(answer.content, requests, call)
    return ModelAnswer(
        answer.content, requests, _usage(answer.usage, call), answer.finish_reason or "stop", answer.ttft_ms
    )


async def _take_events(response: Any, answer: StreamedAnswer, call: ModelCall) -> bool:
    """Hands every event to the answer; whether the stream said that it is done."""
    events, size = EventData(), 0
    async for data in response.content.iter_any():
        size += len(data)
        if size > ANSWER_BYTES:
            raise BodyTooLong
        for event in events.take(data):
            if event == _DONE:
                await _finish_reading(response)
                return True
            answer.take(_chunk(event, call))
    for event in events.end():
        if event == _DONE:
            return True
        answer.take(_chunk(event, call))
    return False


async def _finish_reading(response: Any) -> None:
    """Reads the body's end, which mostly is there already: only then can the connection be used again."""
    try:
        async with asyncio.timeout(_TRAILER_S):
            async for _ in response.content.iter_any():
                pass
    except TimeoutError:
        return


def _chunk(event: bytes, call: ModelCall) -> dict[str, Any]:
    chunk = _parsed(event, call)
    if chunk.get("error"):
        code = part(chunk["error"], "code")
        status = code if isinstance(code, int) and code >= 400 else _SERVER_FAULT
        raise refused(call, status, "", None, is_midway=True)
    return chunk


def _parsed(body: bytes, call: ModelCall) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise garbled(call, "an answer that cannot be read: it is no JSON object")
    return document


async def _refusal(response: Any, order: HttpOrder, call: ModelCall) -> ModelFailed:
    """What to raise for an answer of another status than 200."""
    if response.status < 400:
        return garbled(call, f"status {response.status} instead of an answer; redirects are not followed")
    try:
        document = orjson.loads(await read_bounded(response, REFUSAL_BYTES))
    except (BodyTooLong, orjson.JSONDecodeError):
        document = {}
    error = part(document, "error") or document
    code = safe_code(part(error, "code") or part(error, "type"), order.hidden)
    return refused(call, response.status, code, response.headers.get("retry-after"))


def _usage(reported: Any, call: ModelCall) -> Usage:
    tokens = tokens_of(reported, call)
    return Usage(*tokens, known_cost_usd(call.model, call.price, tokens))

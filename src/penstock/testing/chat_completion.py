"""The scripted model's answers in the form of OpenAI's chat completions API, whole and as server-sent events."""

from typing import Any

import orjson

from penstock.llm.scripted.answer import FINGERPRINT, ScriptedAnswer
from penstock.testing.model_fault import ModelFault

_CREATED = 1_700_000_000
_ID = "chatcmpl-scripted"


def error_body(status: int, what: str) -> bytes:
    """An error as OpenAI words it."""
    kind = "rate_limit_exceeded" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    return orjson.dumps({"error": {"message": what, "type": kind, "param": None, "code": kind}})


def too_long_body() -> bytes:
    """The refusal of a request that does not fit the model's context, as OpenAI words it."""
    what = "This model's maximum context length is 1000 tokens. Please reduce the length of the messages."
    kind = {"type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}
    return orjson.dumps({"error": {"message": what, **kind}})


def whole_body(model: str, told: ScriptedAnswer, fault: ModelFault) -> bytes:
    """The answer in one document, with the fault's kinds in it."""
    if "garbage" in fault.kinds:
        return b'{"id": "chatcmpl-scripted", "choices": [{"message": {"content": "brok'
    message: dict[str, Any] = {"role": "assistant", "content": told.content}
    if told.calls:
        message["tool_calls"] = _tool_calls(told)
    if "silent" in fault.kinds:
        message = {"role": "assistant", "content": None}
    document = _frame("chat.completion", model)
    document["choices"] = [{"index": 0, "message": message, "finish_reason": told.finish_reason}]
    if "no-usage" not in fault.kinds:
        document["usage"] = _usage(told)
    if "no-choices" in fault.kinds:
        document["choices"] = []
    if "wrong-types" in fault.kinds:
        document |= {"choices": [{"message": {"content": {"deep": [1, 2]}, "tool_calls": "none"}}], "usage": "many"}
    return orjson.dumps(document)


def stream_events(model: str, told: ScriptedAnswer, fault: ModelFault, with_usage: bool) -> list[bytes]:
    """The answer as server-sent events, the final [DONE] included."""
    if "garbage" in fault.kinds:
        return [b"data: {brok\n\n", b"data: [DONE]\n\n"]
    if "wrong-types" in fault.kinds:
        return [_event({**_frame("chat.completion.chunk", model), "choices": "none"}), b"data: [DONE]\n\n"]
    if "no-choices" in fault.kinds:
        return [_event({**_frame("chat.completion.chunk", model), "choices": []}), b"data: [DONE]\n\n"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if "silent" not in fault.kinds:
        deltas += [{"tool_calls": [{**call, "index": index}]} for index, call in enumerate(_tool_calls(told))]
        deltas += [{"content": piece} for piece in told.pieces(fault.piece)]
    events = [_delta_event(model, delta, None) for delta in deltas]
    events.append(_delta_event(model, {}, told.finish_reason))
    if with_usage and "no-usage" not in fault.kinds:
        events.append(_event({**_frame("chat.completion.chunk", model), "choices": [], "usage": _usage(told)}))
    return [*events, b"data: [DONE]\n\n"]


def _frame(kind: str, model: str) -> dict[str, Any]:
    return {"id": _ID, "object": kind, "created": _CREATED, "model": model, "system_fingerprint": FINGERPRINT}


def _delta_event(model: str, delta: dict[str, Any], finish_reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _event({**_frame("chat.completion.chunk", model), "choices": [choice]})


def _event(document: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


def _tool_calls(told: ScriptedAnswer) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in told.calls
    ]


def _usage(told: ScriptedAnswer) -> dict[str, int]:
    total = told.prompt_tokens + told.completion_tokens
    return {
        "prompt_tokens": told.prompt_tokens,
        "completion_tokens": told.completion_tokens,
        "total_tokens": total,
    }

"""From a response to a ModelAnswer; what breaks the chat protocol is `ModelFailed`, never passed on.

A response is LiteLLM's object, or the protocol's JSON as it came: `part` reads both.
"""

from typing import Any

from penstock.llm.refusal import garbled
from penstock.pal import ModelCall, ToolRequest


def part(of: Any, name: str) -> Any:
    """A field of a response or of what is in it; None where there is none."""
    return of.get(name) if type(of) is dict else getattr(of, name, None)


def first_choice(response: Any, call: ModelCall) -> Any:
    """The first choice of a whole answer; raises `ModelFailed` where there is none."""
    choices = part(response, "choices")
    if not isinstance(choices, list) or not choices or part(choices[0], "message") is None:
        raise garbled(call, "an answer without choices")
    return choices[0]


def content_of(content: Any, call: ModelCall) -> str | None:
    """The text, None where there is none; raises `ModelFailed` for anything but text."""
    if content is not None and not isinstance(content, str):
        raise garbled(call, f"an answer that cannot be read: its content is no text ({type(content).__name__})")
    return content or None


def tool_requests(tool_calls: Any, call: ModelCall) -> tuple[ToolRequest, ...]:
    """The tool calls of an answer; raises `ModelFailed` for one without a name or with arguments that are no text."""
    if not isinstance(tool_calls, list | None):
        raise garbled(call, "an answer that cannot be read: its tool calls are no list")
    requests = []
    for position, tool_call in enumerate(tool_calls or ()):
        function = part(tool_call, "function")
        name, arguments = part(function, "name"), part(function, "arguments")
        if not isinstance(name, str) or not name or not isinstance(arguments, str | None):
            raise garbled(call, "a tool call without a name or with arguments that are no text")
        requests.append(ToolRequest(str(part(tool_call, "id") or f"call_{position}"), name, arguments or "{}"))
    return tuple(requests)


def said(choice: Any, call: ModelCall) -> tuple[str | None, tuple[ToolRequest, ...]]:
    """Text and tool calls of a whole answer's choice; raises `ModelFailed` where there is neither."""
    message = part(choice, "message")
    content = content_of(part(message, "content"), call)
    requests = tool_requests(part(message, "tool_calls"), call)
    must_say_something(content, requests, call)
    return content, requests


def tokens_of(usage: Any, call: ModelCall) -> tuple[int, int]:
    """Prompt and completion tokens as reported.

    Raises `ModelFailed` where none are reported: limits and costs could not be held, and 0 would be a lie.
    """
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    if prompt is None or completion is None or not prompt + completion:
        raise garbled(call, "an answer without usage: its tokens cannot be counted")
    return prompt, completion


def must_say_something(content: str | None, requests: tuple[ToolRequest, ...], call: ModelCall) -> None:
    """Raises `ModelFailed` for an answer with neither text nor tool calls: a model has that right, to its question."""
    if content is None and not requests:
        raise garbled(call, "an empty answer: neither text nor tool calls", request_at_fault=True)


def _count(usage: Any, name: str) -> int | None:
    number = part(usage, name)
    return number if isinstance(number, int) and not isinstance(number, bool) and number >= 0 else None

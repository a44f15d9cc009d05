"""A streamed answer, put together from its chunks as they come."""

import time
from dataclasses import dataclass, field
from typing import Any

from penstock.llm.refusal import garbled
from penstock.llm.response import content_of, part
from penstock.pal import ModelCall, ToolRequest


@dataclass(slots=True)
class _ToolCall:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class StreamedAnswer:
    """Text, tool calls, usage and reason of one stream; `started` is on the monotonic clock."""

    def __init__(self, call: ModelCall, started: float) -> None:
        self.usage: Any = None
        self.finish_reason = ""
        self.ttft_ms: float | None = None
        self._call = call
        self._started = started
        self._texts: list[str] = []
        self._tool_calls: dict[int, _ToolCall] = {}

    def take(self, chunk: Any) -> None:
        """Takes one chunk and hands its text on; raises `ModelFailed` for one that breaks the protocol."""
        self.usage = part(chunk, "usage") or self.usage
        choices = part(chunk, "choices") or []
        if not isinstance(choices, list):
            raise garbled(self._call, "an answer that cannot be read: its choices are no list")
        if not choices:
            return
        self.finish_reason = str(part(choices[0], "finish_reason") or self.finish_reason)
        delta = part(choices[0], "delta")
        text = content_of(part(delta, "content"), self._call)
        tool_calls = part(delta, "tool_calls") or []
        if not isinstance(tool_calls, list):
            raise garbled(self._call, "an answer that cannot be read: its tool calls are no list")
        if self.ttft_ms is None and (text or tool_calls):
            self.ttft_ms = (time.monotonic() - self._started) * 1000
        for piece in tool_calls:
            self._take_tool_call(piece)
        if text:
            self._texts.append(text)
            if self._call.on_delta is not None:
                self._call.on_delta(text)

    @property
    def content(self) -> str | None:
        """All text so far, None where there is none."""
        return "".join(self._texts) or None

    @property
    def requests(self) -> tuple[ToolRequest, ...]:
        """The tool calls, in their order; raises `ModelFailed` for one without a name."""
        calls = [self._tool_calls[index] for index in sorted(self._tool_calls)]
        if any(not call.name for call in calls):
            raise garbled(self._call, "a tool call without a name")
        return tuple(
            ToolRequest(call.id or f"call_{position}", call.name, "".join(call.arguments) or "{}")
            for position, call in enumerate(calls)
        )

    def _take_tool_call(self, piece: Any) -> None:
        function = part(piece, "function")
        index, arguments = part(piece, "index"), part(function, "arguments")
        name, identity = part(function, "name"), part(piece, "id")
        texts = (arguments, name, identity)
        if not isinstance(index, int) or not all(isinstance(text, str | None) for text in texts):
            raise garbled(self._call, "a piece of a tool call that cannot be read")
        call = self._tool_calls.setdefault(index, _ToolCall())
        call.id = call.id or identity or ""
        call.name = call.name or name or ""
        call.arguments.append(arguments or "")

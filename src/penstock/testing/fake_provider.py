"""FakeProvider: a model provider that answers from a list, counts, and notices when it is cancelled."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from penstock.pal import ModelAnswer, ModelCall, ModelFailed, ToolRequest, Usage

Answering = Callable[[ModelCall], ModelAnswer | Awaitable[ModelAnswer]]
Step = ModelAnswer | Exception | Answering
_PIECE = 4


class FakeProvider:
    """Answers each call with the next step: an answer, an error to raise, or a function of the call.

    A single function answers every call. Content is streamed in pieces of four characters where that is asked for.
    """

    def __init__(self, *steps: Step) -> None:
        self.calls: list[ModelCall] = []
        self.cancelled = 0
        self.asked = asyncio.Event()
        self._steps = list(steps)
        self._always = steps[0] if len(steps) == 1 and not isinstance(steps[0], ModelAnswer | Exception) else None

    async def complete(self, call: ModelCall) -> ModelAnswer:
        """The next answer; `asked` is set from then on."""
        self.calls.append(call)
        self.asked.set()
        step = self._always or (self._steps.pop(0) if self._steps else _exhausted(call))
        try:
            answer = await _answered(step, call)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if call.on_delta is not None and answer.content:
            for start in range(0, len(answer.content), _PIECE):
                call.on_delta(answer.content[start : start + _PIECE])
                await asyncio.sleep(0)
        return answer


def says(text: str, usage: Usage | None = None) -> ModelAnswer:
    """An answer of text; by default 10 prompt and 5 completion tokens for 0.001 USD."""
    return ModelAnswer(text, (), usage or Usage(10, 5, 0.001))


def asks(*calls: tuple[str, Mapping[str, Any] | str], call_id: str = "same") -> ModelAnswer:
    """An answer that asks for tools: pairs of name and arguments (text = as it is), all under the same id."""
    requests = tuple(
        ToolRequest(call_id, name, arguments if isinstance(arguments, str) else orjson.dumps(dict(arguments)).decode())
        for name, arguments in calls
    )
    return ModelAnswer(None, requests, Usage(10, 5, 0.001), "tool_calls")


async def hangs(call: ModelCall) -> ModelAnswer:
    """A step that never answers."""
    await asyncio.Event().wait()
    raise AssertionError("an event that nobody sets was set")


async def _answered(step: Step, call: ModelCall) -> ModelAnswer:
    if isinstance(step, ModelAnswer):
        return step
    if isinstance(step, Exception):
        raise step
    answer = step(call)
    return await answer if inspect.isawaitable(answer) else answer


def _exhausted(call: ModelCall) -> ModelFailed:
    return ModelFailed("the fake provider has no answer left", where=call.ref, now="give it one more step")

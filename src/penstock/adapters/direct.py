"""The `direct` runtime: no framework, the reference for all others. Model, tools, model, ... until there is text."""

import asyncio

from penstock.contracts.release import Release
from penstock.contracts.runtime import Runtime as RuntimeDeclaration
from penstock.pal import Doors, Message, ModelAnswer, RunOutcome, RunRequest, ToolAnswer


class DirectRuntime:
    """Runs an agent as a plain loop; the tool calls of one answer run at once, their answers keep its order."""

    def __init__(self, declaration: RuntimeDeclaration) -> None:
        self.declaration = declaration

    async def run(self, agent: Release, request: RunRequest, doors: Doors) -> RunOutcome:
        """The agent's output. The loop has no end of its own: the engine's limits are its end."""
        messages: list[Message] = list(request.messages)
        while True:
            answer = await doors.llm.complete(messages, tools=request.tools, response_format=request.response_format)
            messages.append(answer.message)
            if not answer.tool_requests:
                return RunOutcome(answer.content or "", tuple(messages[len(request.messages) :]))
            messages += [told.message for told in await _answers(answer, doors)]


async def _answers(answer: ModelAnswer, doors: Doors) -> list[ToolAnswer]:
    if len(answer.tool_requests) == 1:
        return [await doors.tools.call(answer.tool_requests[0])]
    return await asyncio.gather(*(doors.tools.call(request) for request in answer.tool_requests))

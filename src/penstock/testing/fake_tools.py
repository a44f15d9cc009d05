"""FakeTools: runs functions of a test in place of tools, and counts."""

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from penstock.contracts.release import ToolComponent
from penstock.pal import ToolFailed, ToolInvocation

ToolFunction = Callable[[Mapping[str, Any]], Any | Awaitable[Any]]


class FakeTools:
    """A tool runner of plain functions by tool name; what they return is not checked."""

    def __init__(self, **functions: ToolFunction) -> None:
        self.calls: list[ToolInvocation] = []
        self.ended: Counter[str] = Counter()
        self.asked = asyncio.Event()
        self._functions = functions

    async def run(self, tool: ToolComponent, call: ToolInvocation) -> dict[str, Any]:
        """The function's result; raises `ToolFailed` for a tool without a function."""
        self.calls.append(call)
        self.asked.set()
        function = self._functions.get(tool.name.replace("-", "_"))
        if function is None:
            raise ToolFailed(f"the test has no function for {tool.name}", where=tool.ref, now="give it one")
        try:
            result = function(call.arguments)
            result = await result if inspect.isawaitable(result) else result
        except asyncio.CancelledError:
            self.ended["cancelled"] += 1
            raise
        except Exception:
            self.ended["failed"] += 1
            raise
        self.ended["finished"] += 1
        answer: dict[str, Any] = result
        return answer

"""The `langgraph` runtime: a hand-written StateGraph with a node for the model and one for its tool calls."""

import asyncio
import operator
import os
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from penstock.contracts.release import Release
from penstock.contracts.runtime import Runtime as RuntimeDeclaration
from penstock.pal import Doors, Message, RunOutcome, RunRequest, ToolRequest

# Before the import: LangGraph and LangSmith read them once. No traces leave the process, and nothing is unpacked
# into arbitrary objects.
os.environ["LANGSMITH_TRACING"] = os.environ["LANGCHAIN_TRACING_V2"] = "false"
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

# Far above any limit of an agent: the engine's limits end a run, not LangGraph's.
RECURSION_LIMIT = 1_000_000


class State(TypedDict):
    """What the run added so far, and the calls that the last answer asked for."""

    messages: Annotated[list[Message], operator.add]
    wanted: tuple[ToolRequest, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """What the nodes of one run share, outside of the graph's state."""

    request: RunRequest
    doors: Doors


async def _model(state: State, runtime: Runtime[Turn]) -> Command[str]:
    request = runtime.context.request
    answer = await runtime.context.doors.llm.complete(
        [*request.messages, *state["messages"]], tools=request.tools, response_format=request.response_format
    )
    added = {"messages": [answer.message], "wanted": answer.tool_requests}
    return Command(update=added, goto="tools" if answer.tool_requests else END)


async def _tools(state: State, runtime: Runtime[Turn]) -> dict[str, Any]:
    calls = (runtime.context.doors.tools.call(request) for request in state["wanted"])
    return {"messages": [answer.message for answer in await asyncio.gather(*calls)], "wanted": ()}


def _graph() -> Any:
    """The nodes are async, and the model's says what comes next: LangGraph runs plain functions in threads."""
    graph = StateGraph(State, context_schema=Turn)
    graph.add_node("model", _model, destinations=("tools", END))
    graph.add_node("tools", _tools)
    graph.add_edge(START, "model")
    graph.add_edge("tools", "model")
    return graph.compile()


class LangGraphRuntime:
    """Runs every release on one compiled graph: what differs between releases and runs is in its context."""

    def __init__(self, declaration: RuntimeDeclaration) -> None:
        self.declaration = declaration
        self._compiled = _graph()

    async def run(self, agent: Release, request: RunRequest, doors: Doors) -> RunOutcome:
        """The agent's output. No checkpointer: the history is the platform's."""
        state = await self._compiled.ainvoke(
            {"messages": [], "wanted": ()},
            {"recursion_limit": RECURSION_LIMIT},
            context=Turn(request, doors),
        )
        messages: list[Message] = state["messages"]
        return RunOutcome(messages[-1]["content"] or "", tuple(messages))

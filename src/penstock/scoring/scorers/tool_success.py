"""Scorer `tool-success`: the tools that were called gave a result."""

from typing import Annotated

from pydantic import Field

from penstock.scoring.scorer import Score, Scored, scorer


@scorer("tool-success", kind="assertion", revision=1)
def tool_success(
    scored: Scored,
    *,
    tools: Annotated[list[str], Field(min_length=1)] | None = None,
    min_calls: Annotated[int, Field(ge=0)] = 0,
) -> Score:
    """Whether every call of these tools (null = of all) gave a result, and there were at least `minCalls` of them."""
    calls = [call for call in scored.trial.calls if tools is None or call.name in tools]
    broken = [{"name": call.name, "error": call.error} for call in calls if call.error is not None]
    if broken:
        return Score(False, f"{broken[0]['name']}: {broken[0]['error']}", {"failed": broken})
    if len(calls) < min_calls:
        return Score(False, f"{len(calls)} calls, at least {min_calls} expected")
    return Score(True)

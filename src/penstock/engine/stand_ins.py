"""StandIns: what answers in place of a tool that is left alone or that failed, as the tool declares it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from penstock.contracts.canonical import canonical, digest_bytes
from penstock.contracts.tool import ToolFallback
from penstock.engine.compiled import CompiledTool, tool_request
from penstock.engine.last_results import LastResults
from penstock.engine.run import Run
from penstock.engine.tool_refusal import ToolRefusal

_FAILURES = frozenset({"timeout", "failed", "result"})
Calling = Callable[[CompiledTool], Awaitable[Any]]
"""Calls a tool with the arguments of the one call that this is about; raises `ToolRefusal`."""


class StandIns:
    """One call of a tool and of whatever stands in for it; used once. `used` is what the journal keeps of that."""

    def __init__(self, run: Run, results: LastResults, arguments: Mapping[str, Any], call_id: str) -> None:
        self._run = run
        self._results = results
        self._arguments = arguments
        self._call_id = call_id
        self.used: list[dict[str, Any]] = []

    async def result(self, tool: CompiledTool, call: Calling) -> Any:
        """The tool's result or its stand-in's; raises the `ToolRefusal` of the last that was tried."""
        try:
            result = await call(tool)
        except ToolRefusal as refusal:
            fallback = tool.spec.fallback
            if fallback is None or not _is_meant(fallback, refusal.code):
                raise
            return await self._other(tool, fallback, refusal, call)
        if self._remembers(tool):
            self._results.keep(self._key(tool), result)
        return result

    def repeat(self, tool: CompiledTool, response: Mapping[str, Any]) -> None:
        """Puts on record what the journal says of stand-ins; policies are asked again, as about every call."""
        for data in response.get("fallbacks", ()):
            if tool.spare is not None and data["to"] == tool.spare.component.ref:
                self._may_call(tool.spare)
                tool = tool.spare
            self._note(data)
        fallback, error = tool.spec.fallback, response.get("error")
        was_meant = error is not None and fallback is not None and _is_meant(fallback, error["code"])
        if was_meant and tool.spare is not None:  # it was denied, or it would have been used
            self._may_call(tool.spare)

    def journalled(self, response: dict[str, Any]) -> dict[str, Any]:
        """The response as the journal keeps it, with the stand-ins that were used."""
        return {**response, "fallbacks": self.used} if self.used else response

    async def _other(self, tool: CompiledTool, fallback: ToolFallback, refusal: ToolRefusal, call: Calling) -> Any:
        if fallback.answer is not None:
            self._say(tool, "answer", refusal)
            return fallback.answer
        if fallback.cached is not None:
            found = self._results.find(self._key(tool), fallback.cached.max_age_s) if self._remembers(tool) else None
            if found is None:
                raise refusal
            self._say(tool, "cached", refusal, ageS=round(found[1], 3))
            return found[0]
        spare = tool.spare
        if spare is None or not self._may_call(spare):
            raise refusal
        self._say(tool, spare.component.ref, refusal)
        return await self.result(spare, call)

    def _may_call(self, spare: CompiledTool) -> bool:
        return self._run.decide("tool.call", f"tools/{spare.name}").allowed

    def _remembers(self, tool: CompiledTool) -> bool:
        """Only live runs remember and are reminded: what an evaluation sees must not hang on what ran before it."""
        fallback = tool.spec.fallback
        return fallback is not None and fallback.cached is not None and self._run.spends

    def _key(self, tool: CompiledTool) -> tuple[str | None, str, str]:
        request = digest_bytes(canonical(tool_request(tool, self._arguments)))
        return self._run.call.tenant, tool.component.digest, request

    def _say(self, tool: CompiledTool, to: str, refusal: ToolRefusal, **more: Any) -> None:
        data = {"kind": "tool", "from": tool.component.ref, "to": to, "why": refusal.fact}
        data |= {"callId": self._call_id, "owner": tool.component.owner, **more}
        self._note(data)

    def _note(self, data: dict[str, Any]) -> None:
        self.used.append(data)
        self._run.fell_back(data)


def _is_meant(fallback: ToolFallback, code: str) -> bool:
    return code == "breaker-open" or (fallback.on == "failure" and code in _FAILURES)

"""The tool door: the only way of a run to a tool. Arguments, policy, limits, mode, journal, events, result."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.contracts.canonical import canonical, digest_bytes
from penstock.contracts.json_pointer import ABSENT
from penstock.engine.cache.results import ResultCache
from penstock.engine.call import new_span_id
from penstock.engine.compiled import CompiledTool, tool_request
from penstock.engine.controls import Breakers
from penstock.engine.failure import Failure, RunOver
from penstock.engine.intents import Intents
from penstock.engine.journal import MAIN_SCOPE, JournalEntry
from penstock.engine.last_results import LastResults
from penstock.engine.model_turn import replay_miss
from penstock.engine.review_desk import ReviewDesk
from penstock.engine.run import Run
from penstock.engine.shape import places
from penstock.engine.stand_ins import StandIns
from penstock.engine.tool_attempts import LiveCall, ToolAttempts
from penstock.engine.tool_refusal import ToolRefusal as _Refusal
from penstock.engine.trace_context import traceparent
from penstock.errors import Fault
from penstock.pal import ToolAnswer, ToolInvocation, ToolRequest, ToolRunner


@dataclass(frozen=True, slots=True)
class _Call:
    """One call that is allowed; `facts` are what its events say of it, and grow until it has ended."""

    tool: CompiledTool
    arguments: dict[str, Any]
    facts: dict[str, Any]
    spans: tuple[str, str]
    stand_ins: StandIns

    @property
    def writes(self) -> bool:
        return self.tool.spec.side_effects == "write"


class ToolDoor:
    """Runs the tools of one run's release."""

    def __init__(
        self, run: Run, runner: ToolRunner, breakers: Breakers, results: LastResults, cache: ResultCache
    ) -> None:
        self._run = run
        self._runner = runner
        self._breakers = breakers
        self._results = results
        self._cache = cache
        self._reviews = ReviewDesk(run)
        self._intents = Intents(run)
        self._fixtures = {name: deque(results) for name, results in run.call.fixtures.items()}

    async def call(self, request: ToolRequest) -> ToolAnswer:
        """Runs the call. Whatever goes wrong with it is an answer that the model can act on."""
        return await self._answer(request, self._run.compiled.tools.get(request.name))

    async def consult(self, tool: CompiledTool, arguments: Mapping[str, Any], call_id: str) -> Any:
        """The result of a tool that the platform asks and no model; `ABSENT` if it gives none."""
        request = ToolRequest(call_id, tool.name, canonical(arguments).decode())
        answer = await self._answer(request, tool)
        return orjson.loads(answer.content) if answer.ok else ABSENT

    async def _answer(self, request: ToolRequest, known: CompiledTool | None) -> ToolAnswer:
        with self._reviews.call_in_flight():
            return await self._attempted(request, known)

    async def _attempted(self, request: ToolRequest, known: CompiledTool | None) -> ToolAnswer:
        run = self._run
        run.check(run.meter.tool_call())
        if run.past is not None and request.id in run.past.ended_calls:
            return await self._recalled(request, known)
        spans = (new_span_id(), run.span_id)
        facts: dict[str, Any] = {"tool": request.name, "version": None, "callId": request.id}
        before = time.monotonic()
        try:
            tool, arguments = self._admitted(request, known, facts)
            content = await self._result(tool, arguments, request, facts, spans)
        except _Refusal as refusal:
            run.meter.tool_failed()
            facts["durationMs"] = round((time.monotonic() - before) * 1000, 3)
            run.log.emit("tool.failed", {**facts, "code": refusal.code, "what": refusal.fact}, *spans)
            await run.secure()
            return ToolAnswer(request.id, request.name, refusal.text, ok=False)
        facts["durationMs"] = round((time.monotonic() - before) * 1000, 3)
        facts["resultDigest"] = digest_bytes(content.encode())
        run.log.emit("tool.finished", facts, *spans)
        await run.secure()
        return ToolAnswer(request.id, request.name, content, ok=True)

    async def _recalled(self, request: ToolRequest, known: CompiledTool | None) -> ToolAnswer:
        """What an earlier attempt of the run answered to this very call; that is on record, and not told again."""
        run = self._run
        await asyncio.sleep(0)
        try:
            tool, arguments = self._admitted(request, known, {}, quiet=True)
            digest = digest_bytes(canonical(tool_request(tool, arguments)))
            n = run.occurrences.next(MAIN_SCOPE, digest)
            entry = run.recalled(digest, n)
            if entry is None:
                run.check(replay_miss("tool", run, digest, n))
                raise RunOver
            for data in entry.response.get("fallbacks", ()):
                run.fell_back(data, quiet=True)
            content = _checked(tool, _said_by(entry))
        except _Refusal as refusal:
            run.meter.tool_failed()
            return ToolAnswer(request.id, request.name, refusal.text, ok=False)
        return ToolAnswer(request.id, request.name, content, ok=True)

    def _admitted(
        self, request: ToolRequest, tool: CompiledTool | None, facts: dict[str, Any], *, quiet: bool = False
    ) -> tuple[CompiledTool, dict[str, Any]]:
        """The tool and its checked arguments, if the policies allow the call."""
        if tool is None:
            known = ", ".join(self._run.compiled.tools) or "none"
            raise _Refusal("unknown-tool", f"there is no tool {request.name!r}; tools are: {known}")
        facts["version"] = tool.version
        arguments = _parsed(request.arguments)
        if arguments is None:
            raise _Refusal("arguments", "the arguments are no JSON object", "Error: the arguments are no JSON object.")
        if not tool.input.fits(arguments):
            faults = tool.input.faults(arguments)
            raise _Refusal(
                "arguments", f"the arguments have {places(faults)}", _said("Error: the arguments are wrong", faults)
            )
        decision = self._run.decide("tool.call", f"tools/{tool.name}", quiet=quiet)
        if not decision.allowed:
            reason = f": {decision.reason}" if decision.reason else ""
            raise _Refusal("policy", f"the call is denied by {decision.policy or 'default'}{reason}")
        return tool, arguments

    async def _result(
        self,
        tool: CompiledTool,
        arguments: dict[str, Any],
        request: ToolRequest,
        facts: dict[str, Any],
        spans: tuple[str, str],
    ) -> str:
        """The checked result as canonical JSON, journalled; a failure is journalled as well."""
        run = self._run
        canonical_request = tool_request(tool, arguments)
        digest = digest_bytes(canonical(canonical_request))
        n = run.occurrences.next(MAIN_SCOPE, digest)
        verdict = await self._reviews.verdict(tool, arguments, request.id)
        arguments = verdict.arguments
        facts.update(digest=digest, n=n, argumentsDigest=digest_bytes(canonical(arguments)))
        facts["sideEffects"] = tool.spec.side_effects
        run.log.emit("tool.started", dict(facts), *spans)
        stand_ins = StandIns(run, self._results, arguments, request.id)
        call = _Call(tool, arguments, facts, spans, stand_ins)

        def entry(response: dict[str, Any]) -> JournalEntry:
            said = verdict.journalled(stand_ins.journalled(response))
            return JournalEntry("tool", MAIN_SCOPE, digest, n, canonical_request, said)

        try:
            verdict.check()
            result = await self._obtain(call)
            content = _canonical(tool, result) if facts["source"] == "tool" else _checked(tool, result)
            if facts["source"] == "tool":
                self._cache.keep(run.call, tool, arguments, result)
        except _Refusal as refusal:
            error = {"code": refusal.code, "what": refusal.fact, "text": refusal.text}
            facts.update(await run.record(entry({"error": error})))
            raise
        facts.update(await run.record(entry({"result": result})))
        return content

    async def _obtain(self, call: _Call) -> Any:
        """The result as the mode gives it; the call's facts say where it came from."""
        run, mode = self._run, self._run.call.mode
        if mode == "replay":
            entry = self._journalled(call.facts)
            if entry is None:
                run.check(replay_miss("tool", run, call.facts["digest"], call.facts["n"]))
                raise RunOver
            return await self._answered(call, entry)
        if mode == "dry":
            return self._example(call)
        if mode == "eval" and call.writes:
            return self._fixture(call)
        if mode == "shadow":
            entry = self._journalled(call.facts)
            if entry is not None:
                return await self._answered(call, entry)
            if call.writes or self._reviews.is_for(call.tool):
                raise _shadow_refusal(call.tool)
        return await self._real(call)

    async def _real(self, call: _Call) -> Any:
        """The result that a person found of it, that the cache has, or that the tool gives now."""
        tool, facts, call_id = call.tool, call.facts, call.facts["callId"]
        found = self._intents.found(tool, call_id)
        if found is not None and found.finding.decision == "made":
            facts["source"] = "person"
            return found.finding.result
        is_reviewed = self._reviews.is_for(tool)  # what a person allowed is made
        cached = self._cache.find(self._run.call, tool, call.arguments) if not is_reviewed else None
        facts["source"] = "tool" if cached is None else "cache"
        if cached is not None:
            return cached
        result = await call.stand_ins.result(tool, lambda one: self._called(one, call.arguments, call_id, call.spans))
        if call.stand_ins.used:
            facts["source"] = "fallback"
        return result

    async def _called(self, tool: CompiledTool, arguments: dict[str, Any], call_id: str, spans: tuple[str, str]) -> Any:
        run = self._run
        parent = traceparent(run.call.trace_id, spans[0])
        key = f"{run.call.run_id}/{call_id}"
        writes = tool.spec.side_effects == "write"
        if writes:
            self._intents.require_known(tool, call_id, key)

        async def before() -> None:
            if writes:
                await self._intents.intend(tool, call_id, key)

        deadline = min(time.monotonic() + tool.spec.timeout_ms / 1000, run.deadline)
        invocation = ToolInvocation(call_id, key, deadline, run.call.run_id, run.compiled.name, arguments, parent)
        live = LiveCall(tool, invocation, before, spans)
        try:
            return await ToolAttempts(run, self._runner, self._breakers, live).result()
        except _Refusal as refusal:
            if refusal.code == "breaker-open" and self._intents.is_open(call_id):  # nothing may stand in for it
                raise _Refusal("failed", f"{refusal.fact}, and it may have been called already") from None
            raise

    def _journalled(self, facts: Mapping[str, Any]) -> JournalEntry | None:
        """The equal call in the journal that the run was given: the same request, the same occurrence of it."""
        journal = self._run.call.journal
        return journal.find(MAIN_SCOPE, facts["digest"], facts["n"]) if journal is not None else None

    async def _answered(self, call: _Call, entry: JournalEntry) -> Any:
        """What the journal says: the result, or the same refusal, and what stood in for the tool."""
        call.facts["source"] = "journal"
        await asyncio.sleep(0)
        call.stand_ins.repeat(call.tool, entry.response)
        return _said_by(entry)

    def _example(self, call: _Call) -> dict[str, Any]:
        result = call.tool.examples.get(canonical(call.arguments))
        if result is None:
            ref = call.tool.component.ref
            raise _Refusal("example-missing", f"a dry run calls no tool, and {ref} has no such example")
        call.facts["source"] = "example"
        return result

    def _fixture(self, call: _Call) -> dict[str, Any]:
        tool = call.tool
        results = self._fixtures.get(tool.name)
        if results:
            call.facts["source"] = "fixture"
            return results.popleft()
        result = tool.examples.get(canonical(call.arguments))
        if result is None:
            self._run.check(
                Failure(
                    "fixture-missing",
                    f"{tool.component.ref} writes, and neither the case's fixtures nor its examples have a result",
                    self._run.where,
                    f"add fixtures.{tool.name} to the case, or an example to the tool",
                )
            )
            raise RunOver
        call.facts["source"] = "example"
        return result


def _said_by(entry: JournalEntry) -> Any:
    """The result that the entry holds; raises the refusal if it holds one."""
    if "error" in entry.response:
        error = entry.response["error"]
        raise _Refusal(error["code"], error["what"], error["text"])
    return entry.response["result"]


def _shadow_refusal(tool: CompiledTool) -> _Refusal:
    """A writing or reviewed call that production did not make: it is not made, and the model is told so."""
    does = "writes" if tool.spec.side_effects == "write" else "waits for a person"
    fact = f"a shadow run changes nothing: {tool.component.ref} {does}, and production made no equal call"
    return _Refusal("refused", fact, f"Error: {fact}. Go on without its result.")


def _parsed(text: str) -> dict[str, Any] | None:
    """The arguments; None if they are no JSON object. Models send nothing at all for no arguments."""
    if not text.strip():
        return {}
    try:
        arguments = orjson.loads(text)
        canonical(arguments)
    except (ValueError, TypeError):
        return None
    return arguments if isinstance(arguments, dict) else None


def _checked(tool: CompiledTool, result: Any) -> str:
    """The result as canonical JSON, if it fits the tool's output schema."""
    if not tool.output.fits(result):
        faults = tool.output.faults(result)
        fact = f"the result of {tool.component.ref} breaks its schema: {places(faults)}"
        raise _Refusal("result", fact, f"Error: {fact}")
    return _canonical(tool, result)


def _canonical(tool: CompiledTool, result: Any) -> str:
    try:
        return canonical(result).decode()
    except (ValueError, TypeError) as error:
        raise _Refusal("result", f"the result of {tool.component.ref} is no JSON: {error}") from None


def _said(head: str, faults: list[Fault]) -> str:
    return "\n".join([f"{head}:", *(f"- {fault.pointer or '/'}: {fault.what}" for fault in faults)])

"""CachedWork: a run that an earlier answer may serve, of an agent that declares so."""

from typing import Any

from penstock.contracts.caching import SemanticCache
from penstock.contracts.canonical import canonical, digest
from penstock.engine.cache.answers import AnswerCache, CachedAnswer
from penstock.engine.journal import MAIN_SCOPE, JournalEntry
from penstock.engine.run import Run, Work
from penstock.governance.redaction import NotRedacted, redact


class CachedWork:
    """The work of one run behind the cache of answers. A hit asks no model and costs nothing.

    Not for runs with a history, nor outside of live, nor where a caller wants no cache, nor for agents with a tool that
    writes. A hit is in the journal, so that a replay gives the same.
    """

    def __init__(self, run: Run, cache: AnswerCache, work: Work) -> None:
        self._run = run
        self._cache = cache
        self._work = work

    async def __call__(self) -> Any:
        """The output, an earlier one or a new one."""
        declared = self._run.compiled.spec.cache
        if declared is None:
            return await self._work()
        found = self._recorded()
        if found is None and self._is_open() and self._run.past is None:
            found = await self._cache.find(self._run, declared.semantic)
        if found is not None:
            return await self._answer(found)
        output = await self._work()
        if self._is_open() and self._is_sound():
            await self._keep(declared.semantic, output)
        return output

    def _is_open(self) -> bool:
        call, compiled = self._run.call, self._run.compiled
        if call.mode != "live" or not call.uses_cache:
            return False
        if compiled.spec.mode == "conversational" and (call.session_id is not None or call.history):
            return False
        return all(tool.spec.side_effects != "write" for tool in compiled.tools.values())

    def _is_sound(self) -> bool:
        """Whether the answer is the agent's own: with its own model, and all that its tools had to say."""
        run = self._run
        return run.failure is None and not run.fallbacks and not run.meter.usage.tool_failures

    async def _keep(self, cache: SemanticCache, output: Any) -> None:
        """Only what is left once personal data is out of it, and only if that still is an answer."""
        try:
            redacted = redact(output).value
        except NotRedacted:
            return
        if redacted == output or self._run.compiled.output.fits(redacted):
            await self._cache.keep(self._run, cache, redacted)

    async def _answer(self, found: CachedAnswer) -> Any:
        run = self._run
        run.check(None)
        run.is_cached = True
        request = self._request()
        key = digest(request)
        if run.recalled(key, 1) is None:
            run.log.emit("cache.hit", {"kind": found.kind, "similarity": found.similarity})
            response = {"output": found.output, "kind": found.kind, "similarity": found.similarity}
            await run.record(JournalEntry("cache", MAIN_SCOPE, key, 1, request, response))
        if run.call.stream:
            text = found.output if isinstance(found.output, str) else canonical(found.output).decode()
            run.log.delta(text)
        return found.output

    def _recorded(self) -> CachedAnswer | None:
        """What the journal of a replay says, or that of an earlier attempt of the run."""
        run, key = self._run, digest(self._request())
        journal = run.call.journal if run.call.mode == "replay" else None
        entry = journal.find(MAIN_SCOPE, key, 1) if journal is not None else run.recalled(key, 1)
        if entry is None:
            return None
        return CachedAnswer(entry.response["output"], entry.response["kind"], entry.response["similarity"])

    def _request(self) -> dict[str, Any]:
        return {"cache": "answers", "input": self._run.call.input}

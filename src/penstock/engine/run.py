"""Run: one run from its start to its only terminal event. The engine's; callers hold a `RunHandle`."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Protocol

from penstock.contracts.canonical import digest
from penstock.engine.call import RunCall, new_span_id
from penstock.engine.claim_check import ClaimCheck
from penstock.engine.compiled import CompiledRelease
from penstock.engine.controls import Place, RunClaim
from penstock.engine.event_log import EventLog, now
from penstock.engine.failure import Failure, FailureCode, RunOver
from penstock.engine.journal import MAIN_SCOPE, Journal, JournalEntry, Occurrences
from penstock.engine.lease import Awaited, Past, Postponed
from penstock.engine.meter import Meter
from penstock.engine.result import RunResult, RunStatus
from penstock.engine.scope import RunScope
from penstock.engine.sink import Sink
from penstock.errors import LimitReached, PenstockError, Unavailable
from penstock.governance.policy import Decision
from penstock.store.payload_objects import Claim

TIMER_S = 0.002
"""How early a timer may ring: uvloop's count in whole milliseconds."""
_STATUS: dict[FailureCode, RunStatus] = {"timeout": "timed_out", "cancel": "cancelled"}


class Work(Protocol):
    """What a run does between its start and its end: messages, runtime, output (`engine.work`)."""

    async def __call__(self) -> Any:
        """The output. Raises `RunOver` once the run was stopped."""
        ...


CURRENT_RUN: ContextVar[RunCall | None] = ContextVar("penstock_run", default=None)
"""What the code that is running runs for; None outside of a run. For logs."""

BeforeAnswer = Callable[[Any], Awaitable[None]]
"""What must be stored before a finished run is answered, given its output; raises `PenstockError` if it cannot be."""


class Run:
    """The state of one run: its events, meter, scope and the failure that stopped it, if one did."""

    def __init__(
        self,
        call: RunCall,
        compiled: CompiledRelease,
        sink: Sink,
        before_answer: BeforeAnswer | None = None,
        claims: ClaimCheck | None = None,
    ) -> None:
        self.call = call
        self.compiled = compiled
        self.sink = sink
        self.claim = RunClaim(
            call.run_id, compiled.name, compiled.team, call.tenant, call.runtime, compiled.limits, call.is_batch
        )
        """The run as the controls see it."""
        self._claims = claims
        self.context_ref_id: str | None = None
        self._output_claim: Claim | None = None
        self._before_answer = before_answer
        past = self.past
        self.span_id = past.span_id if past is not None else new_span_id()
        self.log = EventLog(call, compiled, sink, self.span_id)
        self.scope = RunScope()
        self.meter = Meter(compiled.limits, f"{compiled.ref}, run {call.run_id}")
        self.occurrences = Occurrences()
        self.journal: Journal | None = None if call.mode == "live" else Journal()
        self.failure: Failure | None = None
        self.refusal: PenstockError | None = None
        self.fallbacks: list[dict[str, Any]] = []
        self.unanswerable: PenstockError | None = None
        self.ttft_ms: float | None = None
        self.awaits_review: Awaited | None = None
        self._clock()
        self.place: Place | None = None
        self.is_cached = False
        self._timer: asyncio.TimerHandle | None = None
        self._subjects = _subjects(call, compiled)
        self._ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._entries = 0

    @property
    def past(self) -> Past | None:
        """What earlier attempts left; None of a run that begins."""
        return self.call.lease.past if self.call.lease is not None else None

    @property
    def where(self) -> str:
        """The run in words, for failures."""
        return f"{self.compiled.ref}, run {self.call.run_id}"

    @property
    def spends(self) -> bool:
        """Whether it draws on budgets: only live runs do."""
        return self.call.mode == "live"

    def alerted(self, data: dict[str, Any]) -> None:
        """Puts on record that a soft budget is used up."""
        self.log.emit("budget.alerted", data)

    def told_by_breaker(self, change: str, why: str, resource: str) -> None:
        """Puts on record that a call of this run `opened` or `closed` a breaker."""
        data = {"resource": resource, "why": why, "owner": self.compiled.owner_of(resource)}
        self.log.emit(f"breaker.{change}", data)

    def fell_back(self, data: dict[str, Any], *, quiet: bool = False) -> None:
        """Puts on record that something stood in for what the agent names first; `quiet` where it is there already."""
        self.fallbacks.append(data)
        if not quiet:
            self.log.emit("fallback.used", data)

    def begin(self) -> None:
        """The run's time begins: what it waited before does not count."""
        self._clock()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.deadline - time.monotonic(), self.stop, self._timeout())

    def out_of_time(self) -> Failure | None:
        """The run's timeout once its time is up, else None: whoever notices it first says the same."""
        return self._timeout() if time.monotonic() >= self.deadline - TIMER_S else None

    def _timeout(self) -> Failure:
        limit = f"limits.timeoutMs of {self.compiled.limits.timeout_ms} reached"
        return Failure("timeout", limit, self.where, "see its events for what took so long")

    def _clock(self) -> None:
        """Starts the clocks; a run that is taken over began with its first attempt, and has its whole limit again."""
        past = self.past
        self.started = time.monotonic() - (past.elapsed_s if past is not None else 0.0)
        self.started_at = past.started_at if past is not None else now()
        self.deadline = time.monotonic() + self.compiled.limits.timeout_ms / 1000

    def decide(self, action: str, resource: str, *, quiet: bool = False) -> Decision:
        """Asks the policies, and records what they said; `quiet` where that is on record already."""
        decision = self.compiled.decider.decide(self._subjects, action, resource, self.call.effective_stage)
        if quiet:
            return decision
        self.log.emit(
            "policy.decided",
            {
                "action": action,
                "resource": resource,
                "allowed": decision.allowed,
                "rule": decision.rule,
                "policy": decision.policy,
                "reason": decision.reason,
            },
        )
        return decision

    async def keep(self, role: str, ref: str, body: Any) -> str | None:
        """Stores a payload apart from the events, which refer to it by `ref`.

        Returns the id that it is fetched by where its size sent it to the payload store; None of a small one. Raises
        `Unavailable` where it cannot be stored. A shadow run keeps none: they would be copies of a production run's,
        which outlive the deletion of its own.
        """
        return self._put(role, ref, body, await self._claimed(ref, body))

    async def keep_input(self) -> str | None:
        """Stores the run's input as `keep` does; a large one of a run that was accepted first is there already."""
        call = self.call
        claim = call.lease.input_claim if call.lease is not None else None
        return self._put("input", "input", call.input, claim or await self._claimed("input", call.input))

    async def _claimed(self, ref: str, body: Any) -> Claim | None:
        if self._claims is None or self.call.mode == "shadow":
            return None
        return await self._claims.check(self.call.tenant, self.call.run_id, ref, body)

    def _put(self, role: str, ref: str, body: Any, claim: Claim | None) -> str | None:
        if self.call.mode == "shadow":
            return None
        where = {"body": body} if claim is None else {"claim": claim.as_document()}
        self.sink.append({"kind": "payload", "runId": self.call.run_id, "ref": ref, "role": role, **where})
        return claim.ref_id if claim is not None else None

    async def record(self, entry: JournalEntry) -> dict[str, str]:
        """Writes a call to the run's journal; returns what its event is to say of where that is, if it is large.

        Where it cannot be stored the run ends, and `RunOver` is raised.
        """
        self._entries += 1
        attempt = f"{self.call.lease.attempt}." if self.past is not None and self.call.lease is not None else ""
        try:
            ref_id = await self.keep("journal", f"journal-{attempt}{self._entries}", entry.as_document())
        except Unavailable as problem:
            if self.failure is None:
                self.unanswerable = problem
            self.stop(Failure("runtime", f"a payload was not stored: {problem.what}", problem.where, problem.now))
            raise RunOver from None
        if self.journal is not None:
            self.journal.add(entry)
        return {"resultRefId": ref_id} if ref_id is not None else {}

    def recalled(self, digest: str, n: int) -> JournalEntry | None:
        """The equal call of an earlier attempt; its facts are on record already."""
        return self.past.journal.find(MAIN_SCOPE, digest, n) if self.past is not None else None

    async def secure(self) -> None:
        """Makes what happened so far durable where another process may have to go on from there; else does nothing.

        The run is stopped, and `RunOver` raised, if it cannot be, or if another process has the run by now.
        """
        if self.call.lease is None:
            return
        try:
            await self.sink.commit()
        except PenstockError as problem:
            what = f"what happened could not be made durable: {problem.what}"
            self.check(Failure("runtime", what, problem.where, problem.now))

    def check(self, failure: Failure | None) -> None:
        """Stops the run if there is a failure; raises `RunOver` then, or when the run is over already."""
        if failure is not None:
            self.stop(failure)
        if self.failure is not None or self.scope.closed:
            raise RunOver

    def stop(self, failure: Failure) -> None:
        """Ends the run for this reason, whatever the runtime does. The first reason stays; a finished run too."""
        if self.failure is None and not self.scope.closed:
            self.failure = failure
            self.scope.close()
            if not self._ending.done():
                self._ending.set_result(None)

    def reject(self, failure: Failure, refusal: PenstockError) -> None:
        """Refuses the run before it starts; `refusal` is what the caller gets to read."""
        if self.failure is not None:
            return
        self.failure, self.refusal = failure, refusal
        self.scope.close()
        facts = refusal.facts if isinstance(refusal, LimitReached) else {}
        self.log.emit("run.rejected", {"error": {**failure.as_document(), **facts}})

    async def drive(self, work: Work | None) -> RunResult:
        """Does the work in a task of its own, ends it in time, and returns the result once it is durable.

        No work = the run was rejected.
        """
        CURRENT_RUN.set(self.call)  # in the run's own task, and so in all that it starts
        output = None
        if work is not None:
            try:
                output = await self._supervise(work)
            except asyncio.CancelledError:
                self.failure = self.failure or Failure("cancel", "the process that ran it is ending", self.where)
                await self.scope.settle()
        return await self._end(output)

    async def _supervise(self, work: Work) -> Any:
        task = asyncio.ensure_future(work())
        task.add_done_callback(self._work_done)
        try:
            await self._ending
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self.scope.close()
            task.cancel()
        if not task.done() or self.scope.busy:
            await self.scope.settle(task)
        if self.failure is None:
            return self._outcome(task)
        return None

    def _work_done(self, task: "asyncio.Future[Any]") -> None:
        if not task.cancelled():
            task.exception()  # taken here; a run that was stopped does not ask again
        if not self._ending.done():
            self._ending.set_result(None)

    def _outcome(self, task: "asyncio.Future[Any]") -> Any:
        """The output of work that ended by itself; else the failure is noted."""
        where = f"runtime {self.call.runtime}, {self.where}"
        if task.cancelled():
            self.failure = Failure("runtime", "the runtime cancelled itself", where)
            return None
        error = task.exception()
        if error is None:
            return task.result()
        if isinstance(error, PenstockError):
            self.failure = Failure("runtime", error.what, error.where or where, error.now)
        else:
            self.failure = Failure("runtime", f"the runtime raised {type(error).__name__}", where)
        return None

    async def _end(self, output: Any) -> RunResult:
        unanswerable = await self._store_before_answer(output) or self.unanswerable
        result = self._result(output)
        try:
            await self._end_later(result)
            if result.status != "rejected":
                self._emit_end(result)
            self.sink.append({"kind": "run", "run": self._row(result)})
            await self.sink.commit()
        except Postponed:
            self.log.leave()
            raise
        except Exception as problem:
            self.log.closed = True
            self.log.end(problem)
            raise
        self.log.end()
        if unanswerable is not None:
            raise unanswerable
        return result

    async def _end_later(self, result: RunResult) -> None:
        """Raises `Postponed` if this is not the run's end: it is tried again, or waits for a person."""
        lease, failure = self.call.lease, self.failure
        if lease is None or failure is None:
            return
        if await lease.postpone(failure, rejected=result.status == "rejected", awaits_review=self.awaits_review):
            raise Postponed(failure, self.where, awaits_review=self.awaits_review is not None)

    async def _store_before_answer(self, output: Any) -> PenstockError | None:
        """The problem, if what must stand before the answer does not: the run then failed, and has no answer."""
        if self.failure is not None:
            return None
        kept = "the output"
        try:
            self._output_claim = await self._claimed("output", output)
            kept = "the session"
            if self._before_answer is not None:
                await self._before_answer(output)
        except PenstockError as problem:
            self.failure = Failure("runtime", f"{kept} was not stored: {problem.what}", problem.where, problem.now)
            return problem
        return None

    def _emit_end(self, result: RunResult) -> None:
        data: dict[str, Any] = {"usage": result.usage.as_document(), "durationMs": result.duration_ms}
        data["ttftMs"] = result.ttft_ms
        if result.failure is None:
            ref_id = self._put("output", "output", result.output, self._output_claim)
            data["output"] = {"digest": digest(result.output), "ref": "output"}
            if ref_id is not None:
                data["resultRefId"] = ref_id
        else:
            data["error"] = result.failure.as_document()
        self.log.emit(f"run.{result.status}", data)

    def _result(self, output: Any) -> RunResult:
        call, compiled, failure, claim = self.call, self.compiled, self.failure, self._output_claim
        status: RunStatus = "finished" if failure is None else _STATUS.get(failure.code, "failed")
        return RunResult(
            run_id=call.run_id,
            session_id=call.session_id,
            status=status if self.refusal is None else "rejected",
            output=output if failure is None else None,
            failure=failure,
            usage=self.meter.usage,
            duration_ms=round((time.monotonic() - self.started) * 1000, 3),
            ttft_ms=self.ttft_ms,
            agent=compiled.name,
            version=compiled.version,
            release=compiled.digest,
            stage=call.effective_stage,
            runtime=call.runtime,
            mode=call.mode,
            trace_id=call.trace_id,
            cached=self.is_cached,
            fallbacks=tuple(self.fallbacks),
            refusal=self.refusal,
            context_ref_id=self.context_ref_id,
            result_ref_id=claim.ref_id if claim is not None and failure is None else None,
        )

    def _row(self, result: RunResult) -> dict[str, Any]:
        row = result.as_document()
        row.pop("output")
        return {
            **row,
            "team": self.compiled.team,
            "tenant": self.call.tenant,
            "user": self.call.user,
            "routedBy": self.call.routed_by,
            "models": self.meter.models(),
            "startedAt": self.started_at,
            "finishedAt": now(),
        }


def _subjects(call: RunCall, compiled: CompiledRelease) -> tuple[str, ...]:
    subjects = [f"agent:{compiled.name}", f"team:{compiled.team}"]
    if call.tenant is not None:
        subjects.append(f"tenant:{call.tenant}")
    if call.user is not None:
        subjects.append(f"user:{call.user}")
    return tuple(subjects)

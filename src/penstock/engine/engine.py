"""Engine: starts runs and keeps the recent ones. It alone knows limits, policies, journal, events, and cancel."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Any

from penstock.contracts.canonical import canonical, digest, digest_bytes
from penstock.contracts.release import Release
from penstock.engine.admitted_work import AdmittedWork
from penstock.engine.alert_rules import RunRules
from penstock.engine.cache.answers import AnswerCache
from penstock.engine.cache.results import ResultCache
from penstock.engine.cached_work import CachedWork
from penstock.engine.call import RunCall
from penstock.engine.claim_check import ClaimCheck
from penstock.engine.compiled import CompiledRelease, ReleaseShelf
from penstock.engine.controls import Controls
from penstock.engine.event_log import Event
from penstock.engine.failure import Failure
from penstock.engine.journal import Journal
from penstock.engine.limits.runtime_only import runtime_limits
from penstock.engine.model_door import ModelDoor
from penstock.engine.output_rule import OutputRule
from penstock.engine.result import RunResult
from penstock.engine.router import RuntimeRouter
from penstock.engine.run import BeforeAnswer, Run
from penstock.engine.shape import places
from penstock.engine.sink import NoSink, Sink
from penstock.engine.tool_door import ToolDoor
from penstock.engine.trace_context import traceparent
from penstock.engine.work import RuntimeWork
from penstock.errors import Conflict, Fault, Invalid, PenstockError, Refused
from penstock.pal import Doors, Message, ModelProvider, ToolRunner

RECENT_RUNS = 1_000


class RunHandle:
    """One run as its caller sees it. The run goes on when nobody waits for it; `cancel` ends it.

    `task` is the engine's, to be waited for and never to be cancelled.
    """

    def __init__(self, run: Run, task: "asyncio.Task[RunResult]") -> None:
        self._run = run
        self.task = task

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._run.call.run_id

    @property
    def call(self) -> RunCall:
        """What the run was made of."""
        return self._run.call

    @property
    def traceparent(self) -> str:
        """The run's span, as the header of W3C trace context says it."""
        return traceparent(self._run.call.trace_id, self._run.span_id)

    @property
    def is_done(self) -> bool:
        """Whether the run ended and its result is durable (or cannot be)."""
        return self.task.done()

    @property
    def journal(self) -> Journal | None:
        """The calls so far; None of a live run, whose journal is in the payloads of its sink."""
        return self._run.journal

    async def result(self) -> RunResult:
        """How the run ended, once that is durable; raises `Unavailable` if it cannot be.

        A waiter that is cancelled leaves the run alone.
        """
        return await asyncio.shield(self.task)

    async def result_or_cancel(self) -> RunResult:
        """As `result`, but a waiter that goes away takes the run along."""
        try:
            return await asyncio.shield(self.task)
        except asyncio.CancelledError:
            self.cancel("the caller went away")
            raise

    def cancel(self, reason: str) -> bool:
        """Asks the run to end as cancelled; False if it is over already."""
        if self._run.failure is None and not self._run.scope.closed:
            self._run.stop(Failure("cancel", f"cancelled: {reason}", self._run.where))
            return True
        return False

    def events(self, after_seq: int = 0, *, cancel_when_left: bool = False) -> AsyncGenerator[Event, None]:
        """The run's events after `after_seq`: the past ones, then each as it comes, `token.delta` too.

        It ends after the terminal event, which comes once it is durable; raises `Unavailable` if it cannot be. With
        `cancel_when_left` an iterator that is closed before that cancels the run.
        """
        left = (lambda: self.cancel("the stream was dropped")) if cancel_when_left else None
        return self._run.log.listen(after_seq, left)

    @property
    def past_events(self) -> list[Event]:
        """The events so far, the terminal one only once it is durable."""
        return self._run.log.past


class Engine:
    """Runs releases. One engine belongs to one event loop."""

    def __init__(
        self,
        runtimes: RuntimeRouter,
        provider: ModelProvider,
        tools: ToolRunner,
        sink: Sink,
        controls: Controls | None = None,
        *,
        claims: ClaimCheck | None = None,
    ) -> None:
        self.runtimes = runtimes
        self._provider = provider
        self._tools = tools
        self._sink = sink
        self.claims = claims
        self.controls = controls or Controls(admission=runtime_limits(runtimes.runs_at_once))
        self.alert_rules: RunRules | None = None
        self._shelf = ReleaseShelf()
        self._answers, self._results = AnswerCache(), ResultCache()
        self._running: dict[str, RunHandle] = {}
        self._ended: OrderedDict[str, RunHandle] = OrderedDict()

    def start(self, call: RunCall, before_answer: BeforeAnswer | None = None) -> RunHandle:
        """Starts a run in a task of its own; `before_answer` stores what must be stored before a finished run's answer.

        A policy, the input schema, a limit or a budget may reject it: the result then says so. Raises `Unavailable`
        when the sink takes nothing, `Conflict` when a run of that id is in flight, and whatever `RuntimeRouter.choose`
        raises: then there is no run at all.
        """
        if call.run_id in self._running:
            raise Conflict("a run of this id is in flight", where=f"run {call.run_id}", now="give it another id")
        runtime = self.runtimes.choose(call.release, call.runtime, call.runtime)
        run = self._run_of(call, before_answer)
        run.log.watch = self.alert_rules.of(call) if self.alert_rules is not None else None
        messages = self._admit(run)
        if messages is None:
            return self._launch(run, None)
        breakers = self.controls.breakers
        tools = ToolDoor(run, self._tools, breakers, self.controls.results, self._results)
        doors = Doors(ModelDoor(run, self._provider, breakers, self.controls.budgets), tools)
        work = CachedWork(run, self._answers, RuntimeWork(run, runtime, doors, messages, OutputRule(run, tools)))
        return self._launch(run, AdmittedWork(run, self.controls, work, lambda: _begin(run, messages)))

    def reject(self, call: RunCall, refusal: PenstockError) -> RunHandle:
        """A run that is refused before the engine was asked (frozen, disabled): recorded as rejected, never started."""
        run = self._run_of(call)
        run.reject(Failure("policy", refusal.what, refusal.where or run.where, refusal.now), refusal)
        return self._launch(run, None)

    def withdraw(self, call: RunCall, reason: str) -> RunHandle:
        """Ends a queued run as cancelled before anything of it runs here."""
        run = self._run_of(call)
        run.stop(Failure("cancel", f"cancelled: {reason}", run.where))
        return self._launch(run, None)

    def input_faults(self, release: Release, prompt_body: bytes, run_input: Any) -> list[Fault]:
        """What the release's schema has against an input."""
        shape = self._shelf.take(release, prompt_body).input
        return [] if shape.fits(run_input) else shape.faults(run_input)

    def recent(self, run_id: str) -> RunHandle | None:
        """A run in flight or among the last `RECENT_RUNS` that ended."""
        return self._running.get(run_id) or self._ended.get(run_id)

    @property
    def running(self) -> list[RunHandle]:
        """The runs in flight."""
        return list(self._running.values())

    async def drain(self, timeout_s: float) -> int:
        """Waits for the runs in flight; those left after `timeout_s` are cancelled. Returns how many those were."""
        await self._wait_for_running(timeout_s)
        left = [handle for handle in self.running if handle.cancel("the executor is shutting down")]
        await self._wait_for_running(None)
        return len(left)

    def close(self) -> None:
        """Lets go of its threads, once no run is in flight."""
        if self.claims is not None:
            self.claims.close()

    async def _wait_for_running(self, timeout_s: float | None) -> None:
        if self._running:
            await asyncio.wait([handle.task for handle in self._running.values()], timeout=timeout_s)

    def _run_of(self, call: RunCall, before_answer: BeforeAnswer | None = None) -> Run:
        compiled = self._shelf.take(call.release, call.prompt_body)
        claims = self.claims if call.mode != "dry" else None
        run = Run(call, compiled, self._sink_of(call), before_answer, claims)
        if call.lease is not None:
            call.lease.begins(call)
            if run.past is None:
                run.log.emit("run.queued", {"level": "queue", "acceptedAt": call.lease.accepted_at})
        return run

    def _sink_of(self, call: RunCall) -> Sink:
        if call.lease is not None:
            return call.lease
        return NoSink() if call.mode == "dry" else self._sink

    def _admit(self, run: Run) -> tuple[Message, ...] | None:
        """The run's messages; None if it was rejected."""
        call, compiled = run.call, run.compiled
        try:
            decision = run.decide("run.start", f"agents/{compiled.name}")
            if not decision.allowed:
                because = decision.reason or f"rule {decision.rule}"
                what = f"{compiled.ref} may not be run here: {because}"
                raise Refused(what, where=decision.policy or run.where, now="ask the agent's owner")
            return _messages(compiled, call)
        except Refused as refusal:
            run.reject(Failure("policy", refusal.what, refusal.where, refusal.now), refusal)
        except Invalid as refusal:
            run.reject(Failure("schema", refusal.what, refusal.where, refusal.now), refusal)
        return None

    def _launch(self, run: Run, work: AdmittedWork | None) -> RunHandle:
        handle = RunHandle(run, asyncio.create_task(run.drive(work)))
        self._running[handle.run_id] = handle
        handle.task.add_done_callback(lambda task: self._end(handle, run, task))
        return handle

    def _end(self, handle: RunHandle, run: Run, task: "asyncio.Task[RunResult]") -> None:
        if run.place is not None:
            run.place.leave()
        # An exception is taken, so that the loop does not report what `result` raises.
        is_open = not task.cancelled() and task.exception() is not None and handle.call.lease is not None
        if self._running.get(handle.run_id) is handle:
            del self._running[handle.run_id]
        if is_open:
            return  # the run goes on elsewhere or later: the database knows more of it than this process
        self._ended[handle.run_id] = handle
        if len(self._ended) > RECENT_RUNS:
            self._ended.popitem(last=False)


async def _begin(run: Run, messages: tuple[Message, ...]) -> None:
    call = run.call
    if run.past is not None:
        reason = "decided" if run.past.was_interrupted else "taken over"
        run.log.emit("run.resumed", {"reason": reason, "events": len(run.past.events)})
        return
    run.context_ref_id = await run.keep_input()
    messages_ref_id = await run.keep("messages", "messages", list(messages))
    data: dict[str, Any] = {
        "input": {"digest": _input_digest(call, messages), "ref": "input"},
        "messages": {"digests": [digest_bytes(canonical(message)) for message in messages], "ref": "messages"},
    }
    for name, ref_id in (("input", run.context_ref_id), ("messages", messages_ref_id)):
        if ref_id is not None:
            data[name]["contextRefId"] = ref_id
    if run.place is not None and run.place.is_alone:
        data["limits"] = "alone"
    run.log.emit("run.started", data)


def _input_digest(call: RunCall, messages: tuple[Message, ...]) -> str:
    """Of the canonical input; one that is no string stands in the last message in that form already."""
    return digest(call.input) if isinstance(call.input, str) else digest_bytes(messages[-1]["content"].encode())


def _messages(compiled: CompiledRelease, call: RunCall) -> tuple[Message, ...]:
    """The final messages; raises `Invalid` with every fault of the input."""
    try:
        canonical(call.input)
    except (ValueError, TypeError) as error:
        raise Invalid(f"the input is not JSON: {error}", where=f"{compiled.ref} input", now="mend the input") from None
    if not compiled.input.fits(call.input):
        faults = compiled.input.faults(call.input)
        what = f"the input breaks the agent's schema: {places(faults)}"
        raise Invalid(what, where=f"{compiled.ref} input", now="mend the input", faults=faults)
    return compiled.messages(call.input, call.history)

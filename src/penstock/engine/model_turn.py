"""ModelTurn: one question to one deployment. Policy, limits, budget, breaker, journal, events, call ids, cost."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.contracts.model import ModelSpec
from penstock.engine.call import new_span_id
from penstock.engine.controls import Breakers, Budgets
from penstock.engine.deployment import Deployment
from penstock.engine.failure import Failure, RunOver
from penstock.engine.guarded_provider import GuardedProvider
from penstock.engine.journal import MAIN_SCOPE, JournalEntry
from penstock.engine.model_retry import PatientAsking
from penstock.engine.paid_provider import PaidProvider, Unaffordable
from penstock.engine.run import Run
from penstock.engine.scope import CallVanished
from penstock.engine.trace_context import traceparent
from penstock.pal import Message, ModelAnswer, ModelCall, ModelFailed, ModelProvider, ToolOffer, ToolRequest, Usage


@dataclass(frozen=True, slots=True)
class Question:
    """What the runtime asks, whichever deployment answers."""

    messages: Sequence[Message]
    tools: Sequence[ToolOffer]
    response_format: Mapping[str, Any] | None


class ModelTurn:
    """One question of a run to one deployment; used once."""

    def __init__(
        self, run: Run, provider: ModelProvider, breakers: Breakers, budgets: Budgets, deployment: Deployment
    ) -> None:
        self._run = run
        self._provider = provider
        self._breakers = breakers
        self._budgets = budgets
        self._deployment = deployment
        self.is_heard = False
        """Whether text of the answer was streamed: whoever listens would hear another deployment's as well."""
        self.is_recalled = False
        """Whether an earlier attempt of the run asked this, and all of it is on record."""

    async def answer(self, question: Question) -> ModelAnswer:
        """The answer, its tool calls under the platform's ids. Raises `ModelFailed`, on record and in the journal."""
        run, deployment = self._run, self._deployment
        run.check(run.meter.model_call())
        digest = deployment.request_digest(question.messages, question.tools, question.response_format)
        n = run.occurrences.next(MAIN_SCOPE, digest)
        if (entry := run.recalled(digest, n)) is not None:
            return await self._recalled(entry)
        self._require_leave()
        spans = (new_span_id(), run.span_id)
        started = {"model": deployment.name, "modelRef": deployment.ref, "digest": digest, "n": n}
        run.log.emit("llm.started", started, *spans)
        before = time.monotonic()
        request = deployment.request(question.messages, question.tools, question.response_format)
        try:
            answer = await self._ask(request, question.tools, started, spans)
        except ModelFailed as error:
            run.check(run.out_of_time())
            kept = await run.record(JournalEntry("model", MAIN_SCOPE, digest, n, request, _failure(error)))
            data = {**started, **kept, "error": failure_of(error, deployment).as_document()}
            run.log.emit("llm.finished", data, *spans)
            await run.secure()
            raise
        answer = _with_platform_ids(answer, digest, n)
        kept = await run.record(JournalEntry("model", MAIN_SCOPE, digest, n, request, _response(answer)))
        run.log.emit("llm.finished", {**started, **_facts(answer, before), **kept}, *spans)
        if run.ttft_ms is None and answer.ttft_ms is not None:
            run.ttft_ms = round((before - run.started) * 1000 + answer.ttft_ms, 3)
        await run.secure()
        run.check(run.meter.spend(answer.usage, deployment.ref))
        return answer

    def _require_leave(self) -> None:
        run, deployment = self._run, self._deployment
        decision = run.decide("model.use", f"models/{deployment.name}")
        if not decision.allowed:
            denied = f"{deployment.ref} is denied by {decision.policy or 'default'}: {decision.reason}"
            run.check(Failure("policy", denied, run.where))

    async def _ask(
        self, request: dict[str, Any], tools: Sequence[ToolOffer], started: dict[str, Any], spans: tuple[str, str]
    ) -> ModelAnswer:
        run = self._run
        if run.call.mode == "replay":
            return await self._replayed(started["digest"], started["n"])
        spec = self._deployment.spec
        call = ModelCall(
            ref=self._deployment.ref,
            model=spec.model,
            parameters=spec.parameters,
            price=spec.price,
            messages=request["messages"],
            tools=tools,
            response_format=request["responseFormat"],
            timeout_s=call_time_s(spec, run.deadline - time.monotonic()),
            on_delta=self._delta if run.call.stream else None,
            transport=spec.transport,
            traceparent=traceparent(run.call.trace_id, spans[0]),
        )
        try:
            return await self._called(call, started, spans)
        except Unaffordable as error:
            run.check(error.failure)
            raise RunOver from None

    async def _called(self, call: ModelCall, started: dict[str, Any], spans: tuple[str, str]) -> ModelAnswer:
        run = self._run

        def retried(attempt: int, wait_s: float, why: str) -> None:
            run.log.emit("llm.retried", {**started, "attempt": attempt, "waitS": wait_s, "why": why}, *spans)

        paid = PaidProvider(self._provider, self._budgets, self._deployment, run)
        guarded = GuardedProvider(paid, self._breakers, f"models/{self._deployment.name}", run)
        asking = PatientAsking(guarded, call, run.deadline, retried)
        try:
            return _sound(await run.scope.run(asking.answer()), call.ref)
        except CallVanished:
            raise ModelFailed("the model call cancelled itself", where=call.ref, now="see the provider") from None

    async def _recalled(self, entry: JournalEntry) -> ModelAnswer:
        """What an earlier attempt of the run got: it counts against the limits, and is not told again."""
        self.is_recalled = True
        run = self._run
        answer = await _journalled(entry)
        run.check(run.meter.spend(answer.usage, self._deployment.ref))
        return answer

    async def _replayed(self, digest: str, n: int) -> ModelAnswer:
        run = self._run
        entry = run.call.journal.find(MAIN_SCOPE, digest, n) if run.call.journal is not None else None
        if entry is None:
            run.check(replay_miss("model", run, digest, n))
            raise RunOver
        answer = await _journalled(entry)
        if run.call.stream and answer.content:
            self._delta(answer.content)
        return answer

    def _delta(self, text: str) -> None:
        run = self._run
        if text:
            self.is_heard = True
            if run.ttft_ms is None:
                run.ttft_ms = round((time.monotonic() - run.started) * 1000, 3)
        run.log.delta(text)


async def _journalled(entry: JournalEntry) -> ModelAnswer:
    """What the journal says: the answer, or the same failure."""
    await asyncio.sleep(0)
    if "error" in entry.response:
        raise ModelFailed(entry.response["error"]["what"], where=entry.response["error"]["where"])
    return _answer(entry.response)


def failure_of(error: ModelFailed, deployment: Deployment) -> Failure:
    """Why a run ended that this deployment could not answer."""
    return Failure("model", error.what, error.where or deployment.ref, error.now)


def call_time_s(spec: ModelSpec, left_s: float) -> float:
    """Seconds for one model call: the model's own time, or what is left of the run's if that is less."""
    own_s = left_s if spec.timeout_ms is None else spec.timeout_ms / 1000
    return max(0.001, min(own_s, left_s))


def replay_miss(door: str, run: Run, digest: str, n: int) -> Failure:
    """A call that the journal does not hold."""
    return Failure(
        "replay-miss",
        f"the journal has no {door} call {n} of {digest} in scope {MAIN_SCOPE}",
        run.where,
        "the release, the input or the runtime's messages differ from what was recorded; record again",
    )


def _sound(answer: ModelAnswer, where: str) -> ModelAnswer:
    """The answer, if it is made of characters: half of a surrogate pair could be neither stored nor sent on."""
    texts = (answer.content or "", *(part for one in answer.tool_requests for part in (one.name, one.arguments)))
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        what = "the answer holds half of a surrogate pair, which is no text"
        raise ModelFailed(what, where=where, now="see the provider") from None
    return answer


def _with_platform_ids(answer: ModelAnswer, digest: str, n: int) -> ModelAnswer:
    """The answer with ids of ours: providers repeat theirs, and some runtimes then skip a call."""
    if not answer.tool_requests:
        return answer
    stem = f"c_{digest[7:19]}_{n}_"
    requests = tuple(
        ToolRequest(f"{stem}{i}", request.name, request.arguments) for i, request in enumerate(answer.tool_requests, 1)
    )
    return ModelAnswer(answer.content, requests, answer.usage, answer.finish_reason, answer.ttft_ms)


def _response(answer: ModelAnswer) -> dict[str, Any]:
    """The journal's form of an answer: nothing of time is in it."""
    return {
        "content": answer.content,
        "toolRequests": [
            {"id": request.id, "name": request.name, "arguments": request.arguments} for request in answer.tool_requests
        ],
        "usage": {
            "promptTokens": answer.usage.prompt_tokens,
            "completionTokens": answer.usage.completion_tokens,
            "costUsd": answer.usage.cost_usd,
        },
        "finishReason": answer.finish_reason,
    }


def _answer(response: Mapping[str, Any]) -> ModelAnswer:
    usage = response["usage"]
    requests = tuple(ToolRequest(one["id"], one["name"], one["arguments"]) for one in response["toolRequests"])
    return ModelAnswer(
        response["content"],
        requests,
        Usage(usage["promptTokens"], usage["completionTokens"], usage["costUsd"]),
        response["finishReason"],
    )


def _failure(error: ModelFailed) -> dict[str, Any]:
    return {"error": {"what": error.what, "where": error.where}}


def _facts(answer: ModelAnswer, before: float) -> dict[str, Any]:
    usage = answer.usage
    return {
        "usage": {
            "promptTokens": usage.prompt_tokens,
            "completionTokens": usage.completion_tokens,
            "totalTokens": usage.prompt_tokens + usage.completion_tokens,
        },
        "costUsd": usage.cost_usd,
        "ttftMs": answer.ttft_ms,
        "durationMs": round((time.monotonic() - before) * 1000, 3),
        "finishReason": answer.finish_reason,
        "toolRequests": [{"callId": request.id, "tool": request.name} for request in answer.tool_requests],
    }

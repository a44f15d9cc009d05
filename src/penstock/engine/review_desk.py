"""ReviewDesk: calls that a person decides on before they are made. The run stops for them, and goes on elsewhere."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.contracts.agent import HumanFallback
from penstock.contracts.canonical import canonical, digest_bytes
from penstock.engine.compiled import CompiledTool
from penstock.engine.failure import Failure, RunOver
from penstock.engine.run import Run
from penstock.engine.tool_refusal import ToolRefusal
from penstock.store.reviews import ROLE, Decision, asked_ref

QUIET_S = 0.02
"""So long nothing but calls that wait may be at work before the run stops: those of one turn are asked together."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a call: its arguments, why it is not made, and what the journal keeps of the decision."""

    arguments: dict[str, Any]
    refusal: ToolRefusal | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raises `ToolRefusal` if the call is not to be made."""
        if self.refusal is not None:
            raise self.refusal

    def journalled(self, response: dict[str, Any]) -> dict[str, Any]:
        """The response with the decision, if there was one."""
        return {**response, "review": dict(self.record)} if self.record else response


class ReviewDesk:
    """Asks for one run, and hands out what was decided. Only live runs ask; all others ask nobody."""

    def __init__(self, run: Run) -> None:
        fallback = run.compiled.spec.fallback
        human = fallback.human if fallback is not None else None
        self._run = run
        self._human: HumanFallback | None = human
        self._tools = frozenset(human.tools) if human is not None else frozenset()
        self._in_flight = 0
        self._asked: dict[str, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    def is_for(self, tool: CompiledTool) -> bool:
        """Whether a person decides on calls of the tool, or of one that may stand in for it."""
        return tool.name in self._tools or (tool.spare is not None and self.is_for(tool.spare))

    @contextlib.contextmanager
    def call_in_flight(self) -> Iterator[None]:
        """Counts a tool call: the run stops for a person only when all others have ended."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._look()

    async def verdict(self, tool: CompiledTool, arguments: dict[str, Any], call_id: str) -> Verdict:
        """What becomes of the call; where a person has yet to decide, the run stops and `RunOver` is raised.

        A run that cannot stop and go on elsewhere, since it was not accepted first, makes no such call.
        """
        run, human = self._run, self._human
        if human is None or run.call.mode != "live" or not self.is_for(tool):
            return Verdict(arguments)
        if run.call.lease is None:
            fact = f"{tool.component.ref} waits for a person, and this run cannot wait"
            return Verdict(arguments, ToolRefusal("review", fact, f"Error: {fact}."))
        decision = run.past.decisions.get(call_id) if run.past is not None else None
        if decision is None:
            await self._ask(human, tool, arguments, call_id)
            raise RunOver
        return self._decided(human, tool, arguments, decision)

    async def _ask(self, human: HumanFallback, tool: CompiledTool, arguments: dict[str, Any], call_id: str) -> None:
        """Asks, and waits for the run's stop."""
        run = self._run
        if run.past is None or not run.past.has_told("review.requested", call_id):
            ref_id = await run.keep(ROLE, asked_ref(call_id), arguments)
            facts: dict[str, Any] = {
                "toolRef": tool.component.ref,
                "argumentsDigest": digest_bytes(canonical(arguments)),
                "onExpiry": human.on_expiry,
            }
            told = {"reason": "human", "tool": tool.name, "callId": call_id, **facts, "ref": asked_ref(call_id)}
            told |= {"expiresMinutes": human.expires_minutes} | ({"contextRefId": ref_id} if ref_id else {})
            run.log.emit("review.requested", told)
            facts |= {"version": run.compiled.version, "release": run.compiled.digest, "user": run.call.user}
            run.sink.append(
                {
                    "kind": "review",
                    "runId": run.call.run_id,
                    "callId": call_id,
                    "tenant": run.call.tenant,
                    "agent": run.compiled.name,
                    "tool": tool.name,
                    "expiresMinutes": human.expires_minutes,
                    "facts": facts,
                }
            )
        self._asked[call_id] = tool.component.ref
        self._look()
        await run.scope.run(_for_ever())

    def _look(self) -> None:
        """Stops the run a moment later, if nothing but calls that wait is at work then."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asked and self._in_flight == len(self._asked):
            self._timer = asyncio.get_running_loop().call_later(QUIET_S, self._stop)

    def _stop(self) -> None:
        run = self._run
        if run.failure is not None or run.scope.closed:
            return
        run.log.emit("run.interrupted", {"reason": "review", "calls": sorted(self._asked)})
        run.awaits_review = "review"
        what = f"a person decides on {', '.join(sorted(set(self._asked.values())))}"
        now = f"`agentctl review list`, then `agentctl review approve {run.call.run_id}` or reject"
        run.stop(Failure("tool", what, run.where, now))

    def _decided(
        self, human: HumanFallback, tool: CompiledTool, arguments: dict[str, Any], decision: Decision
    ) -> Verdict:
        run, ref = self._run, tool.component.ref
        record = {"decision": decision.outcome, "by": decision.by, "at": decision.at, "comment": decision.comment}
        edited = decision.arguments
        digest = {"argumentsDigest": digest_bytes(canonical(edited))} if edited is not None else {}
        if run.past is not None and not run.past.has_told("review.decided", decision.call_id):
            run.log.emit("review.decided", {"tool": tool.name, "callId": decision.call_id, **record, **digest})
        if decision.outcome == "expired":
            fact = f"nobody decided on {ref} within {human.expires_minutes} minutes"
            if human.on_expiry == "fail":
                run.check(Failure("tool", fact, run.where, "start the run again, and decide in time"))
            return Verdict(arguments, ToolRefusal("expired", fact, f"Error: {fact}. It was not called."), record)
        if decision.outcome == "rejected":
            because = f": {decision.comment}" if decision.comment else ""
            text = f"Error: a person rejected the call{because}"
            return Verdict(arguments, ToolRefusal("rejected", f"a person rejected the call of {ref}", text), record)
        if edited is None:
            return Verdict(arguments, None, record)
        return Verdict(edited, None, {**record, "arguments": edited})


async def _for_ever() -> None:
    await asyncio.Event().wait()

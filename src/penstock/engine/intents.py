"""Intents: that a writing call is about to be made stands on record before it is; what if nobody knows how it ended."""

from typing import Any

from penstock.engine.compiled import CompiledTool
from penstock.engine.event_log import now
from penstock.engine.failure import Failure
from penstock.engine.run import Run
from penstock.store.queue import OUTCOME_UNKNOWN
from penstock.store.unknown_outcomes import Found, unknown_calls


class Intents:
    """The writing calls of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def is_open(self, call_id: str) -> bool:
        """Whether an earlier attempt of the run may have made the call."""
        past = self._run.past
        return past is not None and call_id in past.open_intents

    def found(self, tool: CompiledTool, call_id: str) -> Found | None:
        """What a person found of the call after an earlier attempt died in it, None = nobody was asked. Told once."""
        past = self._run.past
        found = past.found.get(call_id) if past is not None else None
        if past is not None and found is not None and call_id in unknown_calls(past.events):
            told = {"reason": OUTCOME_UNKNOWN, "tool": tool.name, "callId": call_id, **found.as_document()}
            self._run.log.emit("review.decided", told)
        return found

    def require_known(self, tool: CompiledTool, call_id: str, key: str) -> None:
        """Stops the run, and raises `RunOver`, where the call may have been made and may not be made twice.

        An idempotent tool takes the same key twice, so there is nothing to know.
        """
        run = self._run
        if tool.spec.idempotent or not self.is_open(call_id):
            return
        run.awaits_review = OUTCOME_UNKNOWN
        what = f"{tool.component.ref} may or may not have been called: its executor died in the call"
        facts = {"reason": OUTCOME_UNKNOWN, "tool": tool.name, "callId": call_id, "idempotencyKey": key, "what": what}
        run.log.emit("review.requested", facts)
        then = f"`agentctl queue settle {run.call.run_id} --result ...` says what came of it, `replay` makes it again"
        run.check(Failure("tool", what, run.where, f"look there for {key}; {then}"))

    async def intend(self, tool: CompiledTool, call_id: str, key: str) -> None:
        """Makes the intent durable."""
        run = self._run
        record: dict[str, Any] = {"kind": "intent", "runId": run.call.run_id, "callId": call_id, "at": now()}
        run.sink.append({**record, "idempotencyKey": key, "tool": tool.component.ref})
        await (run.secure() if run.call.lease is not None else run.sink.commit())
        run.check(None)

"""Runs as their own tenant may see them: from memory while they are recent, then from the database."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from penstock.contracts.event import TERMINAL
from penstock.engine.engine import Engine, RunHandle
from penstock.errors import Conflict, NotFound, Unavailable
from penstock.executor.database_link import DatabaseLink
from penstock.executor.queued_reader import OPEN, QUEUED, RUNNING, queued_document, with_queue
from penstock.store.feedback import FeedbackStore
from penstock.store.queue import QueuedRun, RunQueue
from penstock.store.queue_lease import LeaseLost
from penstock.store.threads import in_database_thread

Event = dict[str, Any]
FOLLOW_S = 0.25


class RunReader:
    """Looks runs up. What is another tenant's does not exist: `NotFound`."""

    def __init__(self, engine: Engine, link: DatabaseLink) -> None:
        self._engine = engine
        self._link = link

    async def document(self, run_id: str, tenant: str | None, *, whole: bool = True) -> dict[str, Any]:
        """The run's result, or what is known while it runs; raises `NotFound`, or `Unavailable` without database.

        Unless it is to be `whole`, an output that has a `resultRefId` is left out.
        """
        handle = self._recent(run_id, tenant)
        if handle is None:
            found = await in_database_thread(self._stored, run_id, tenant, whole)
            return await self._with_feedback(found)
        if not handle.is_done:
            return _running(handle)
        found = (await handle.result()).as_document()
        if not whole and "resultRefId" in found:
            found["output"] = None
        return await self._with_feedback(found)

    def in_flight(self, tenant: str | None, agent: str | None, session: str | None) -> list[dict[str, Any]]:
        """The tenant's runs of this executor that have not ended, the newest first; of that agent and session."""
        return [
            _running(handle)
            for handle in reversed(self._engine.running)
            if handle.call.tenant == tenant
            and agent in (None, handle.call.release.name)
            and session in (None, handle.call.session_id)
        ]

    async def events(self, run_id: str, tenant: str | None, after_seq: int) -> AsyncIterator[Event]:
        """The events after `after_seq`: of a recent or queued run to its end or stop, else those that are stored."""
        handle = self._recent(run_id, tenant)
        if handle is not None:
            return handle.events(after_seq) if handle.call.lease is None else self._beyond(handle, tenant, after_seq)
        stored = await in_database_thread(self._stored_events, run_id, tenant, after_seq)
        queued = await in_database_thread(self._queued, run_id, tenant)
        return _each(stored) if queued is None else self._followed(run_id, tenant, after_seq)

    async def cancel(self, run_id: str, tenant: str | None) -> None:
        """Cancels a run of this executor, or a queued one wherever it is.

        Raises `Conflict` when it has ended already, or is a plain run of another executor; `NotFound`.
        """
        handle = self._recent(run_id, tenant)
        if handle is None and await in_database_thread(self._cancel_queued, run_id, tenant):
            return
        if handle is not None and handle.call.lease is not None and not handle.is_done:
            with contextlib.suppress(Unavailable):  # so that it ends elsewhere too, should it have to go on there
                await in_database_thread(self._cancel_queued, run_id, tenant)
        if handle is None:
            stored = await in_database_thread(self._stored, run_id, tenant)
            if stored["status"] in OPEN:
                raise Conflict("the run is not one of this executor", where=f"run {run_id}", now="ask the one it is on")
        elif handle.cancel("by request"):
            return
        raise Conflict("the run has ended already", where=f"run {run_id}", now=f"GET /v1/runs/{run_id} says how")

    async def _beyond(self, handle: RunHandle, tenant: str | None, after_seq: int) -> AsyncIterator[Event]:
        """The events of this executor's attempt, and of those that follow where it lost the run or gave it back."""
        shown = set()
        with contextlib.suppress(LeaseLost, Unavailable):
            async for event in handle.events(after_seq):
                shown.add(event["id"])
                yield event
                if event["type"] in TERMINAL:
                    return
        async for event in self._followed(handle.run_id, tenant, after_seq):
            if event["id"] not in shown:
                yield event

    async def _followed(self, run_id: str, tenant: str | None, after_seq: int) -> AsyncIterator[Event]:
        """The stored events of a queued run as they come, until no executor has it and none is to get it."""
        is_over = False
        while not is_over:
            row = await in_database_thread(self._queued, run_id, tenant)
            is_over = row is None or row.status not in (QUEUED, RUNNING)
            for event in await in_database_thread(self._stored_events, run_id, tenant, after_seq):
                yield event
                after_seq = event["seq"]
                is_over = is_over or event["type"] in TERMINAL
            if not is_over:
                await asyncio.sleep(FOLLOW_S)

    def _recent(self, run_id: str, tenant: str | None) -> RunHandle | None:
        handle = self._engine.recent(run_id)
        if handle is not None and handle.call.tenant != tenant:
            raise _unknown(run_id)
        return handle

    async def _with_feedback(self, run: dict[str, Any]) -> dict[str, Any]:
        """The run with what users said of it, if anybody did and the database can be asked."""
        with contextlib.suppress(Unavailable):  # a recent run is shown without it
            said = await in_database_thread(lambda: FeedbackStore(self._link.database).of_run(run["runId"]))
            return {**run, "feedback": said} if said else run
        return run

    def _stored(self, run_id: str, tenant: str | None, whole: bool = True) -> dict[str, Any]:
        runs = self._link.runs
        row = runs.run(run_id)
        if row is None:
            queued = self._queued(run_id, tenant)
            if queued is not None and queued.status not in OPEN:
                row = runs.run(run_id)  # it ended between the two looks; what never began has no such row
            if row is None:
                return self._unfinished(run_id, tenant, queued)
        if row.get("tenant") != tenant:
            raise _unknown(run_id)
        is_left_out = "resultRefId" in row and not whole
        outputs = [] if is_left_out else [payload.body for payload in runs.payloads(run_id, ("output",))]
        return {**row, "output": outputs[0] if outputs else None}

    def _unfinished(self, run_id: str, tenant: str | None, queued: QueuedRun | None) -> dict[str, Any]:
        events = self._link.runs.events(run_id)
        if queued is not None:
            return with_queue(_unfinished(events), queued) if events else queued_document(queued)
        return _unfinished(self._stored_events(run_id, tenant, 0))

    def _queued(self, run_id: str, tenant: str | None) -> QueuedRun | None:
        row = RunQueue(self._link.database).get(run_id)
        if row is not None and row.tenant != tenant:
            raise _unknown(run_id)
        return row

    def _cancel_queued(self, run_id: str, tenant: str | None) -> bool:
        """Whether it is a queued run that has not ended, and is to end now."""
        return self._queued(run_id, tenant) is not None and RunQueue(self._link.database).cancel(run_id)

    def _stored_events(self, run_id: str, tenant: str | None, after_seq: int) -> list[Event]:
        events = self._link.runs.events(run_id)
        if not events and self._queued(run_id, tenant) is not None:
            return []
        if not events or events[0].get("tenant") != tenant:
            raise _unknown(run_id)
        return [event for event in events if event["seq"] > after_seq]


async def _each(events: list[Event]) -> AsyncIterator[Event]:
    for event in events:
        yield event


def _running(handle: RunHandle) -> dict[str, Any]:
    call = handle.call
    return {
        "runId": handle.run_id,
        "sessionId": call.session_id,
        "status": RUNNING,
        "agent": call.release.name,
        "version": call.release.version,
        "stage": call.effective_stage,
        "runtime": call.runtime,
        "mode": call.mode,
        "traceId": call.trace_id,
        "events": len(handle.past_events),
    }


def _unfinished(events: list[Event]) -> dict[str, Any]:
    """What the events tell of a run that another executor has, or that ended with its process."""
    first, last = events[0], events[-1]
    kept = ("runId", "sessionId", "agent", "version", "release", "stage", "runtime", "mode", "traceId", "tenant")
    told = {name: first.get(name) for name in kept}
    return {**told, "status": RUNNING, "startedAt": first["time"], "lastEventAt": last["time"], "events": len(events)}


def _unknown(run_id: str) -> NotFound:
    return NotFound("there is no such run", where=f"run {run_id}", now="check the id and X-Penstock-Tenant")

"""Intake: takes runs into the queue. Who is told `accepted` is told so of what is stored."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from penstock.engine.call import new_run_id
from penstock.engine.engine import RunHandle
from penstock.engine.trace_context import TraceParent
from penstock.errors import Fault
from penstock.executor.idempotency import Wish
from penstock.executor.json_body import BODY, refuse_faults
from penstock.executor.order import Identity, RunOrder
from penstock.routing import Caller
from penstock.store.batches import BatchStore
from penstock.store.idempotency import IdempotencyKey
from penstock.store.queue import NewRun, RunQueue, Terms
from penstock.store.threads import in_database_thread

if TYPE_CHECKING:
    from penstock.executor.executor import Executor


@dataclass(frozen=True, slots=True)
class Asked:
    """A run request that is accepted before it is run; `parent` is the caller's trace."""

    agent: str
    identity: Identity
    order: RunOrder
    wish: Wish
    parent: TraceParent | None = None

    @property
    def key(self) -> IdempotencyKey | None:
        """The caller's key, bound to all that makes another run of it."""
        identity, order = self.identity, self.order
        stage = order.stage or identity.stage
        return self.wish.bound_to(order.input, order.session_id, order.version, stage, identity.user, order.complexity)

    def as_run(self) -> NewRun:
        """The run as the queue keeps it."""
        return new_run(self.identity, self.order, parent=self.parent)


class Intake:
    """Accepts runs and batches on one executor. Everything raises `Unavailable` while the database is away."""

    def __init__(self, executor: "Executor") -> None:
        self._executor = executor

    async def accept(self, asked: Asked) -> str:
        """Queues a run; returns its id, or that of the run that the same key brought before.

        Raises what stands against it now: an unknown or stopped agent, an input that breaks the schema, `Invalid` for
        a key that stands for another request.
        """
        terms = Terms(asked.identity.tenant, asked.agent, "async", self._executor.settings.async_tries)
        known = await self._known(terms, asked.key)
        if known is not None:
            return known
        faults = self.input_check(asked.agent, asked.identity, asked.order)(asked.order.input)
        refuse_faults([*mode_faults(asked.order), *faults])
        [run] = await self._claimed(terms, [asked.as_run()])
        accepted = await in_database_thread(self._queue().accept, run, terms, asked.key)
        self._executor.worker.wake()
        return accepted

    async def accept_awaited(self, asked: Asked, *, stream: bool) -> tuple[str, RunHandle | None]:
        """Takes a run in that its caller waits for, and starts it here; None = the same key brought it before."""
        refuse_faults(mode_faults(asked.order))
        worker, lease_s = self._executor.worker, self._executor.settings.lease_s
        terms = Terms(asked.identity.tenant, asked.agent, "sync", 1, holder=worker.holder, lease_s=lease_s)
        known = await self._known(terms, asked.key)
        if known is not None:
            return known, None
        [run] = await self._claimed(terms, [asked.as_run()])
        queue = self._queue()
        accepted = await in_database_thread(queue.accept, run, terms, asked.key)
        if accepted != run.run_id:
            return accepted, None
        row = await in_database_thread(queue.get, run.run_id)
        assert row is not None
        return accepted, await worker.start_awaited(row, run, stream=stream)

    async def start_leased(self, asked: Asked, *, stream: bool) -> RunHandle:
        """Takes a plain run in and starts it here; any executor may go on with it once it waits for a person."""
        _, handle = await self.accept_awaited(asked, stream=stream)
        assert handle is not None  # without a key it is always a new run
        return handle

    async def accept_batch(
        self, agent: str, identity: Identity, orders: Sequence[tuple[int, RunOrder]], key: IdempotencyKey | None
    ) -> str:
        """Queues all orders, each with its line, or none; returns the batch's id."""
        batch = new_run_id()
        runs = [new_run(identity, order, line) for line, order in orders]
        terms = Terms(identity.tenant, agent, "batch", self._executor.settings.async_tries, batch)
        runs = await self._claimed(terms, runs)
        store = BatchStore(self._executor.database.database)
        accepted = await in_database_thread(store.accept, batch, runs, terms, key)
        self._executor.worker.wake()
        return accepted

    def input_check(self, agent: str, identity: Identity, order: RunOrder) -> Callable[[Any], list[Fault]]:
        """What the release that would answer the order now has against inputs; raises when none would."""
        stage = order.stage or identity.stage
        caller = Caller(identity.tenant, identity.user, None, "", order.version, stage)
        return self._executor.dispatcher.input_faults(agent, caller)

    async def bound_batch(self, agent: str, identity: Identity, key: IdempotencyKey | None) -> str | None:
        """The batch that the key brought before; raises `Unavailable` while the database is away."""
        return await self._known(Terms(identity.tenant, agent, "batch"), key)

    async def _known(self, terms: Terms, key: IdempotencyKey | None) -> str | None:
        queue = self._queue()
        return await in_database_thread(queue.bound, terms, key) if key is not None else None

    async def _claimed(self, terms: Terms, runs: Sequence[NewRun]) -> list[NewRun]:
        """The runs, a large input in the payload store by now; raises `Unavailable` when that fails."""
        claims = self._executor.parts.engine.claims
        if claims is None:
            return list(runs)
        found = await asyncio.gather(*(claims.check(terms.tenant, run.run_id, "input", run.input) for run in runs))
        return [replace(run, claim=claim) for run, claim in zip(runs, found, strict=True)]

    def _queue(self) -> RunQueue:
        return RunQueue(self._executor.database.database)


def new_run(identity: Identity, order: RunOrder, line: int | None = None, parent: TraceParent | None = None) -> NewRun:
    """The order as the queue keeps it."""
    asked = {
        "user": identity.user,
        "sessionId": order.session_id,
        "version": order.version,
        "stage": order.stage or identity.stage,
        "parent": parent,
        "complexity": order.complexity,
        "usesCache": order.uses_cache,
    }
    return NewRun(new_run_id(), order.input, asked, line)


def mode_faults(order: RunOrder) -> list[Fault]:
    """A dry run keeps nothing, so there is nothing to accept."""
    if order.mode == "live":
        return []
    return [Fault(BODY, 0, 0, "mode", "only live runs are queued", "leave mode out, or ask without queueing")]

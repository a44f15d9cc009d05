"""Executor: one process that runs what the routing table says, from its start to its drained end."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any

from penstock.contracts.operations import OperationsSpec
from penstock.contracts.release import Release
from penstock.engine.assembly import EngineParts, assemble
from penstock.engine.breakers.board import NO_ORDERS, Orders
from penstock.engine.budgets.shared import SharedBudgets
from penstock.engine.call import new_run_id
from penstock.engine.claim_check import open_claim_check
from penstock.engine.dispatch import Dispatcher
from penstock.engine.engine import Engine, RunHandle
from penstock.engine.router import RuntimeRouter
from penstock.engine.trace_context import TraceParent
from penstock.errors import PenstockError, Unavailable
from penstock.executor.budgets import open_budgets
from penstock.executor.controls import ExecutorControls, build_controls
from penstock.executor.database_link import DatabaseLink
from penstock.executor.heartbeat import Heartbeat
from penstock.executor.housekeeping import Housekeeping
from penstock.executor.idempotency import NO_WISH
from penstock.executor.intake import Asked, Intake
from penstock.executor.model_library import ModelLibrary
from penstock.executor.operations_file import OperationsFile
from penstock.executor.order import Identity, RunOrder
from penstock.executor.payload_reader import PayloadReader
from penstock.executor.run_reader import RunReader
from penstock.executor.telemetry.telemetry import Telemetry
from penstock.executor.worker import QueueWorker
from penstock.pal import ModelProvider
from penstock.routing import Caller, RoutingTable
from penstock.routing.watch import TableWatch
from penstock.settings import Settings
from penstock.store.objects import open_objects
from penstock.store.releases import ReleaseStore
from penstock.store.sessions import SessionStore
from penstock.store.spool import Spool
from penstock.tools.kinds import tool_runner

LOG = logging.getLogger("penstock.executor")
CANCELLED_S = 5.0
QUIET_S = 0.5
OPERATIONS_S = 1.0


class Executor:
    """What the routes ask. An asynchronous context: inside it the executor works, after it nothing is left running.

    `provider` replaces the model library, for tests and benchmarks. `drains_apart` = a process beside this one fills
    the database: in this one it would take the interpreter from the runs.
    """

    def __init__(
        self, settings: Settings, *, provider: ModelProvider | None = None, drains_apart: bool = False
    ) -> None:
        self.settings = settings
        self.is_draining = False
        self.reports = ReleaseStore(open_objects(settings.releases))
        self.watch = TableWatch(self.reports, settings.cache, settings.poll_ms, self._load)
        self.parts: EngineParts
        self.controls: ExecutorControls
        self.database: DatabaseLink
        self.runs: RunReader
        self.budgets: SharedBudgets
        self.payloads: PayloadReader
        self.intake = Intake(self)
        self.worker = QueueWorker(self)
        self.telemetry = Telemetry(self)
        self.asking: set[str] = set()
        """Agents of which a version waits for persons: their runs are accepted first, so that they can."""
        self._heartbeat: Heartbeat | None = None
        self._housekeeping: Housekeeping | None = None
        self._operations: OperationsFile
        self._following: asyncio.Task[None] | None = None
        self._provider = provider
        self._drains_apart = drains_apart
        self._dispatcher: Dispatcher
        self._library = ModelLibrary()
        self._flying = 0
        self._asked = 0
        self._landed = asyncio.Event()
        self._landed.set()

    async def __aenter__(self) -> "Executor":
        """Starts everything; raises `PenstockError` when it cannot serve even without what may come later."""
        settings = self.settings
        self._operations = OperationsFile(settings.root)
        self.telemetry.use(self._operations.spec.alerts)
        self.controls = build_controls(settings, self._operations.spec, self.reports, self._breaker_orders)
        self.parts = _assembled(self, self.watch.releases.blob, self._provider)
        self.parts.engine.alert_rules = self.telemetry.run_rules
        assert self.parts.spool is not None
        self._dispatcher = Dispatcher(
            self.parts.engine, self._table, self.watch.releases, None, settings.default_runtime
        )
        self.database = DatabaseLink(settings, self.parts.spool, self._sessions_are, apart=self._drains_apart)
        self.runs = RunReader(self.parts.engine, self.database)
        operations, link = self._operations.spec, self.database
        self.budgets = open_budgets(self.parts.engine, operations, lambda: link.database, self.parts.spool)
        self.payloads = PayloadReader(settings, self.database)
        try:
            await asyncio.to_thread(self.database.open)
        except PenstockError:
            await self.budgets.close()
            await self.parts.close()
            raise
        await asyncio.to_thread(self.watch.start)
        self.telemetry.start()
        self._following = asyncio.create_task(self._follow_operations())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits the spool and brings it into the database, if it can be reached."""
        if self._following is not None:
            self._following.cancel()
        if self._housekeeping is not None:
            await asyncio.to_thread(self._housekeeping.close)
        if self._heartbeat is not None:
            await asyncio.to_thread(self._heartbeat.close)
        await asyncio.to_thread(self.watch.close)
        await self.worker.close()
        await self.parts.engine.drain(0)
        await self.budgets.close()
        await self.parts.close()
        await self.controls.close()
        await asyncio.to_thread(self.telemetry.close)
        await asyncio.to_thread(self.database.close)

    def report_as(self, url: str) -> None:
        """Says from now on in the database what is in force here, and takes queued runs; `url` is where it serves."""
        self._heartbeat = Heartbeat(self.database, self.watch, url)
        self._heartbeat.start()
        self._housekeeping = Housekeeping(self.database, lambda: self._operations.spec.retention)
        self._housekeeping.start()
        self.worker.start()

    @property
    def dispatcher(self) -> Dispatcher:
        """What starts runs; inside the context only."""
        return self._dispatcher

    @contextlib.contextmanager
    def in_flight(self) -> Iterator[None]:
        """Marks a request that a shutdown waits for."""
        self._flying += 1
        self._asked += 1
        self._landed.clear()
        try:
            yield
        finally:
            self._flying -= 1
            if not self._flying:
                self._landed.set()

    async def ready_for_models(self) -> None:
        """Returns once LiteLLM is loaded, cannot be, or is not needed: no run's time may hold its load."""
        await asyncio.to_thread(self._library.wait)

    async def with_input(self, order: RunOrder, identity: Identity) -> RunOrder:
        """The order with the input that it names by an id; raises `NotFound` for what is not the caller's."""
        if order.context_ref_id is None:
            return order
        named = await asyncio.to_thread(self.payloads.input, order.context_ref_id, identity.tenant)
        return replace(order, input=named, context_ref_id=None)

    async def submit(
        self, agent: str, identity: Identity, order: RunOrder, stream: bool, parent: TraceParent | None = None
    ) -> RunHandle:
        """Starts a run, in the trace of `parent` if there is one; raises whatever stands against it."""
        if agent in self.asking and order.mode == "live":
            return await self.intake.start_leased(Asked(agent, identity, order, NO_WISH, parent), stream=stream)
        caller = Caller(
            identity.tenant,
            identity.user,
            order.session_id,
            new_run_id(),
            order.version,
            order.stage or identity.stage,
            order.complexity,
            order.uses_cache,
        )
        return await self._dispatcher.submit(agent, order.input, caller, mode=order.mode, stream=stream, parent=parent)

    async def drain(self, timeout_s: float) -> None:
        """Takes no new run from now on; waits for those in flight, then cancels what is left.

        It goes on saying no until nobody has asked for half a second: a connection that is closed under a client's
        request would look like a failed run.
        """
        self.is_draining = True
        leaving = asyncio.create_task(self.worker.drain(timeout_s))
        try:
            async with asyncio.timeout(timeout_s):
                await self._landed.wait()
        except TimeoutError:
            cancelled = await self.parts.engine.drain(0)
            LOG.warning("%d runs were cancelled after %g s of draining", cancelled, timeout_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CANCELLED_S):
                await self._landed.wait()
                await self._quiet()
        await leaving

    async def _quiet(self) -> None:
        asked = None
        while asked != self._asked:
            asked = self._asked
            await asyncio.sleep(QUIET_S)

    @property
    def operations(self) -> OperationsSpec:
        """What the platform team set, as in force."""
        return self._operations.spec

    @property
    def table(self) -> RoutingTable:
        """The table in force; raises `Unavailable` while there is none."""
        current = self.watch.current
        if current is None:
            problem = self.watch.problem
            because = f": {problem.what}" if problem is not None else ""
            raise Unavailable(
                f"there is no routing table yet{because}",
                where=(problem.where if problem is not None else "") or self.reports.url,
                now=(problem.now if problem is not None else "") or "`agentctl promote` makes the first",
            )
        return current

    def state(self) -> dict[str, Any]:
        """Readiness and everything that a person asks first; `ready` only if `reasons` is empty."""
        current = self.watch.current
        reasons = list(self._unready())
        self.telemetry.cold_start.mark(ready=not reasons)
        return {
            "ready": not reasons,
            "reasons": reasons,
            "unsigned": True,
            "generation": current.generation if current is not None else None,
            "liveGeneration": current.generation if current is not None else None,
            "lineage": current.record.lineage if current is not None else None,
            "ageS": self.watch.age_s,
            "problem": _told(self.watch.problem),
            "database": _told(self.database.problem),
            "operations": _told(self._operations.problem),
        }

    def _unready(self) -> Iterator[str]:
        if self.is_draining:
            yield "shutting down"
        current = self.watch.current
        if current is None:
            problem = self.watch.problem
            yield f"no routing table with all its releases yet{f': {problem.what}' if problem else ''}"
        elif current.record.agents:
            yield from self._library.reasons()

    def _table(self) -> RoutingTable | None:
        return self.watch.current

    async def _follow_operations(self) -> None:
        while True:
            await asyncio.sleep(OPERATIONS_S)
            self._operations.look(self._operate_by)

    def _operate_by(self, operations: OperationsSpec) -> None:
        """Puts what the platform team changed in force, for the next call of each run."""
        self.budgets.operate_by(operations.budgets)
        self.controls.change(operations)
        self.telemetry.use(operations.alerts)

    def _breaker_orders(self) -> Orders:
        current = self.watch.current
        return current.breakers if current is not None else NO_ORDERS

    def _load(self, release: Release) -> None:
        if self._provider is None:
            self._library.load_for(release, wait=self.watch.current is not None)
        self.parts.load(release)
        fallback = release.agent.spec.fallback
        if fallback is not None and fallback.human is not None:
            self.asking.add(release.name)

    def _sessions_are(self, sessions: SessionStore) -> None:
        self._dispatcher.sessions = sessions


def _assembled(executor: Executor, blob: Callable[[str], bytes], provider: ModelProvider | None) -> EngineParts:
    settings, observed = executor.settings, executor.telemetry.observed
    controls, declarations = executor.controls.controls, executor.controls.runtimes
    if provider is None:
        return assemble(settings, declarations, blob, observed=observed, controls=controls)
    tools = tool_runner(settings, blob, os.environ)
    spool = Spool(settings.spool)
    claims = open_claim_check(executor.settings)
    engine = Engine(RuntimeRouter(declarations), provider, tools, observed(spool), controls, claims=claims)
    return EngineParts(engine, provider, tools, spool)


def _told(problem: PenstockError | None) -> dict[str, Any] | None:
    return problem.as_dict() if problem is not None else None

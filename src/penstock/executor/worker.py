"""The worker: runs queued runs on this executor, and goes on with those of executors that fell silent."""

import asyncio
import contextlib
import logging
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.engine.dispatch import Trail
from penstock.engine.engine import RunHandle
from penstock.engine.lease import Postponed
from penstock.engine.queued_lease import TURNED_AWAY_S, QueuedLease, read_past
from penstock.engine.sink import NoSink
from penstock.errors import Conflict, PenstockError, Unavailable
from penstock.routing import Caller, Route
from penstock.store.idempotency import purge_keys
from penstock.store.queue import NewRun, QueuedRun
from penstock.store.queue_dead import DeadLetters
from penstock.store.queue_lease import Delay, LeasedRun, LeaseLost, LeaseStore
from penstock.store.reviews import ReviewStore
from penstock.store.threads import in_database_thread

if TYPE_CHECKING:
    from penstock.executor.executor import Executor

LOG = logging.getLogger("penstock.executor")
IDLE_S = 0.25
"""How often an executor with room looks for runs that others accepted."""
RENEW_S = 0.5
"""How often it says that its runs go on, and hears which of them are to be ended."""
SWEEP_S = 1.0
TIDY_S = 600.0
FOR_OTHERS = 4
"""Batches leave one place in so many to interactive runs."""
LOST = "its lease ran out"
HANDED_BACK = "the executor is shutting down"


@dataclass
class Holding:
    """A run that this executor has: its lease, its task, and its handle once it has begun."""

    lease: QueuedLease
    task: "asyncio.Task[None] | None" = None
    handle: RunHandle | None = None
    stream: bool = False
    is_lost: bool = False
    begun: "asyncio.Future[RunHandle]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def give_up(self) -> None:
        """Ends an attempt of which nothing is kept any more, and returns once it has: no run is twice in a process."""
        self.is_lost = True
        if self.handle is not None:
            self.handle.cancel(LOST)
        if self.task is not None:
            await asyncio.wait({self.task})


class QueueWorker:
    """Runs at most `async_workers` queued runs at once, and besides them every run whose caller waits here."""

    def __init__(self, executor: "Executor") -> None:
        self._executor = executor
        self._workers = executor.settings.async_workers
        self.holder = uuid.uuid4().hex
        self._holding: dict[str, Holding] = {}
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_leaving = False
        self._tidied = self._swept = 0.0

    def start(self) -> None:
        """Begins to take runs; until then those that callers wait for are run alone."""
        self._keep_alive()
        if self._workers:
            self._tasks.append(asyncio.create_task(self._lead()))

    def wake(self) -> None:
        """Something was accepted, or a place became free."""
        self._news.set()

    async def start_awaited(self, row: QueuedRun, run: NewRun, *, stream: bool) -> RunHandle:
        """Starts a run that was accepted under this executor's lease; raises whatever stands against it."""
        self._keep_alive()
        holding = self._take(LeasedRun(row, run.input, True, None, run.claim), stream=stream)
        return await holding.begun

    async def drain(self, timeout_s: float) -> None:
        """Takes no more runs, waits for those that it has, and hands back what is left: others go on with it."""
        self._is_leaving = True
        self.wake()
        for holding in self._holding.values():
            holding.lease.is_leaving = True
        tasks = [holding.task for holding in self._holding.values() if holding.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        await self._hand_back()

    async def close(self) -> None:
        """Hands back what is left, and ends."""
        self._is_leaving = True
        await self._hand_back()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _hand_back(self) -> None:
        tasks = []
        for holding in list(self._holding.values()):
            holding.lease.is_leaving = True
            if holding.handle is not None:
                holding.handle.cancel(HANDED_BACK)
            elif holding.task is not None:
                holding.task.cancel()
            if holding.task is not None:
                tasks.append(holding.task)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _keep_alive(self) -> None:
        if not self._tasks:
            self._tasks.append(asyncio.create_task(self._renew_on()))

    async def _lead(self) -> None:
        while not self._is_leaving:
            self._news.clear()
            try:
                await self._sweep()
                taken = await self._claim()
                await self._tidy()
            except PenstockError as problem:
                LOG.debug("the queue cannot be read: %s", problem)  # `/readyz` shows that the database is away
                taken = 0
            except Exception:
                LOG.exception("the worker failed")
                taken = 0
            if not taken:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_S):
                        await self._news.wait()

    async def _claim(self) -> int:
        """Takes what there is room for; returns how many runs that was."""
        queued = [holding.lease.row.kind for holding in self._holding.values() if holding.lease.row.kind != "sync"]
        room = self._workers - len(queued)
        batch_room = max(1, self._workers - self._workers // FOR_OTHERS) - queued.count("batch")
        if room < 1 or not self._executor.state()["ready"]:
            return 0
        leased = await in_database_thread(self._store().claim, room, batch_room)
        for one in leased:
            self._take(one)
        return len(leased)

    async def _renew_on(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            held = dict(self._holding)  # a run that is taken anew meanwhile is another attempt, and goes on
            attempts = {run_id: holding.lease.attempt for run_id, holding in held.items()}
            try:
                renewal = await in_database_thread(self._store().renew, attempts)
            except PenstockError:
                continue  # nothing that these runs write now is kept: they end, or the database comes back in time
            except Exception:
                LOG.exception("the leases could not be renewed")
                continue
            for run_id in renewal.lost | renewal.cancelled:
                handle = held[run_id].handle
                if handle is not None:
                    handle.cancel("by request" if run_id in renewal.cancelled else "another executor has it")

    async def _sweep(self) -> None:
        """Gives up what no person decided in time."""
        if time.monotonic() - self._swept >= SWEEP_S:
            self._swept = time.monotonic()
            await in_database_thread(ReviewStore(self._executor.database.database).expire)

    async def _tidy(self) -> None:
        """Forgets what nobody asks for any more, now and then."""
        if time.monotonic() - self._tidied < TIDY_S:
            return
        self._tidied = time.monotonic()
        database = self._executor.database.database
        await in_database_thread(purge_keys, database)
        await in_database_thread(DeadLetters(database).purge_ended)
        await in_database_thread(ReviewStore(database).purge)

    def _take(self, leased: LeasedRun, *, stream: bool = False) -> Holding:
        executor = self._executor
        lease = QueuedLease(
            self._store(),
            leased.row,
            executor.settings.async_tries,
            input_claim=leased.claim,
            is_leaving=self._is_leaving,
            observed=executor.telemetry.observed(NoSink()),
        )
        holding = Holding(lease, stream=stream)
        before = self._holding.get(leased.row.run_id)
        self._holding[leased.row.run_id] = holding
        holding.task = asyncio.create_task(self._run(leased, holding, before))
        return holding

    async def _run(self, leased: LeasedRun, holding: Holding, before: Holding | None) -> None:
        """One attempt, from its lease to its end; `before` is one of this executor's own whose lease ran out."""
        run_id = leased.row.run_id
        try:
            if before is not None:
                await before.give_up()
            holding.handle = await self._begin(leased, holding)
            holding.begun.set_result(holding.handle)
            if self._is_leaving:
                holding.lease.is_leaving = True
            if holding.is_lost:
                holding.handle.cancel(LOST)
            await holding.handle.result()
        except (Postponed, LeaseLost):
            pass
        except Exception as error:
            if holding.handle is None:
                await self._not_begun(holding, error)
            else:
                LOG.warning("run %s goes on in another attempt: %s", run_id, error)
        finally:
            if not holding.begun.done():
                holding.begun.cancel()
            if self._holding.get(run_id) is holding:  # else this executor itself took the run over
                del self._holding[run_id]
            self.wake()

    async def _begin(self, leased: LeasedRun, holding: Holding) -> RunHandle:
        row, lease = leased.row, holding.lease
        known = await self._known(leased, lease)
        if not leased.has_input:
            raise Conflict("its input was deleted", where=f"run {row.run_id}", now="send it again")
        run_input = leased.input
        if leased.claim is not None and run_input is None:
            run_input = await asyncio.to_thread(self._executor.payloads.fetch, leased.claim)
        caller = _caller(row)
        dispatcher = self._executor.dispatcher
        if row.cancelled:
            return await dispatcher.withdraw(row.agent, run_input, caller, lease, known)
        if known is not None and lease.past is not None:
            return await dispatcher.go_on(known[0], run_input, caller, known[1])
        parent = tuple(row.order["parent"]) if "parent" in row.order else None
        return await dispatcher.submit(row.agent, run_input, caller, stream=holding.stream, parent=parent, lease=lease)

    async def _known(self, leased: LeasedRun, lease: QueuedLease) -> tuple[Route, Trail] | None:
        """The route of earlier attempts, whose facts go into the lease; None when they left nothing."""
        if leased.route is None:
            return None
        lease.past, history = await in_database_thread(read_past, self._executor.database.runs, leased.row)
        route = leased.route
        trail = Trail(route["traceId"], route["parentSpanId"], history, lease)
        place = Route(
            leased.row.agent, route["version"], route["release"], route["runtime"], route["stage"], route["routedBy"], 0
        )
        return place, trail

    async def _not_begun(self, holding: Holding, error: Exception) -> None:
        """Nothing ran: it is tried again once what it needs is there, or waits for a person."""
        holding.begun.set_exception(error)
        holding.begun.exception()  # taken: of a queued run nobody waits for it
        lease = holding.lease
        told = _told(error)
        if not isinstance(error, PenstockError):
            LOG.error("run %s could not be started", lease.row.run_id, exc_info=error)
        with contextlib.suppress(PenstockError):  # without the database the lease runs out, and another tries
            if isinstance(error, Unavailable) and not lease.is_awaited:
                delay = Delay(TURNED_AWAY_S, counts=False, error=told)
                await in_database_thread(lease.store.postpone, lease.held, [], delay, None)
            else:
                outcome = "cancelled" if lease.row.cancelled else "rejected"
                await in_database_thread(lease.store.end, lease.held, [], outcome, told)

    def _store(self) -> LeaseStore:
        return LeaseStore(self._executor.database.database, self.holder, self._executor.settings.lease_s)


def _caller(row: QueuedRun) -> Caller:
    order = row.order
    return Caller(
        row.tenant,
        order.get("user"),
        order.get("sessionId"),
        row.run_id,
        order.get("version"),
        order.get("stage"),
        order.get("complexity"),
        order.get("usesCache", True),
    )


def _told(error: Exception) -> dict[str, str]:
    if isinstance(error, PenstockError):
        return {"code": error.slug, "what": error.what, "where": error.where, "now": error.now}
    return {"code": "runtime", "what": f"raised {type(error).__name__}", "where": "executor", "now": "see its log"}

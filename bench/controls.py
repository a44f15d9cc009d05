"""What each control costs a run or a call: CPU beside an uncontended asyncio.Semaphore of the same minute."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from penstock.adapters.direct import DirectRuntime
from penstock.contracts.breaker import BreakerRules
from penstock.contracts.budget import BudgetRules
from penstock.contracts.operations_alerts import Alerts
from penstock.engine.alert_rules import RunRules
from penstock.engine.breakers.board import BreakerBoard
from penstock.engine.budgets.shared import SharedBudgets
from penstock.engine.call import new_run_id
from penstock.executor.telemetry.run_metrics import RunMetrics
from penstock.pal import Usage
from penstock.store.budgets import BudgetStore
from penstock.store.database import Database, open_database
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools
from penstock.testing.limit_desk import limit_rules, local_desk, run_claim
from penstock.testing.memory_sink import MemorySink

ROUNDS, TIMES = 5, 2_000
PERIODS = {"day": {"softUsd": 5e5, "hardUsd": 1e6}, "month": {"softUsd": 5e5, "hardUsd": 1e6}}


async def cpu_us(work: Callable[[], Awaitable[object]]) -> float:
    """CPU microseconds of one piece of work, the best of several rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(TIMES):
            await work()
        best = min(best, (time.process_time() - begun) / TIMES * 1e6)
    return best


async def semaphore() -> float:
    """One level that counts, and nothing else."""
    gate = asyncio.Semaphore(100)

    async def work() -> None:
        async with gate:
            pass

    return await cpu_us(work)


async def limits() -> float:
    """A place at global, team, agent, runtime and tenant, with concurrency, rate and queue depth at four of them."""
    capacity = {"concurrency": 100, "ratePerMinute": 1_000_000, "queueDepth": 100}
    desk = local_desk(limit_rules(**dict.fromkeys(("global", "team", "agent", "tenant"), capacity)))
    claim = run_claim()

    async def work() -> None:
        (await desk.enter(claim)).leave()

    return await cpu_us(work)


async def breaker() -> float:
    """Leave for a call of a model that is well, and its end."""
    board = BreakerBoard(BreakerRules.model_validate({}))

    async def work() -> None:
        board.permit("models/standard", lambda _change, _why: None).succeeded()

    return await cpu_us(work)


async def budgets(database: Database) -> float:
    """Money for a call set aside and settled in six budgets; drawing blocks from SQLite is part of it."""
    rules = BudgetRules.model_validate({"agent": PERIODS, "team": PERIODS, "tenant": PERIODS})
    shared = SharedBudgets(rules, lambda: BudgetStore(database), MemorySink(), "bench")
    claim = run_claim()

    def alerted(_: dict[str, object]) -> None: ...

    async def work() -> None:
        (await shared.reserve(claim, "models/standard@1.0.0", 0.001, alerted)).settle(0.0004)

    found = await cpu_us(work)
    await shared.close()
    return found


async def telemetry() -> float:
    """Metrics and alert rules over the events of a run with two model calls and a tool call."""
    provider = FakeProvider(asks(("weather", {"town": "Bonn"})), says("mild", Usage(20, 7, 0.5)))
    rig = Rig(DirectRuntime, "penstock", provider, FakeTools(weather=lambda _: {"degrees": 4}))
    call = rig.call(tools={"weather": {}})
    await rig.run(call)
    recorded, rules = rig.sink.events(), RunRules(Alerts.model_validate({}))
    metrics = RunMetrics()

    async def work() -> None:
        run_id = new_run_id()
        watch = rules.of(replace(call, run_id=run_id))
        for event in recorded:
            seen = {**event, "runId": run_id}
            metrics.observe(seen)
            if watch is not None:
                list(watch(seen))

    return await cpu_us(work)


async def figures() -> None:
    """Prints each figure and how many semaphores it is."""
    limit = await semaphore()
    print(f"{'CPU us, best of ' + str(ROUNDS) + ' rounds':56} {'us':>7} {'times':>7}")
    print(f"{'asyncio.Semaphore, uncontended (peer)':56} {limit:7.2f} {1:7.1f}")
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'store.db'}")
        for name, work in (
            ("a run's place at five levels of limits", limits()),
            ("a call behind a breaker", breaker()),
            ("a call's money in six budgets", budgets(database)),
            ("metrics and alert rules of a run with three calls", telemetry()),
        ):
            us = await work
            print(f"{name:56} {us:7.2f} {us / limit:7.1f}")
        database.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(figures()))

"""Processes that spend from one budget at once, one of them killed: what was really spent never passes the limit."""

import asyncio
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from penstock.contracts.agent import Limits
from penstock.contracts.budget import BudgetRules
from penstock.engine.budgets.shared import SharedBudgets
from penstock.engine.controls import RunClaim
from penstock.errors import BudgetSpent
from penstock.store.budgets import BudgetStore
from penstock.store.database import open_database
from penstock.store.money import NANO, nano_of
from penstock.store.spool import Spool
from penstock.store.spool_drain import SpoolDrain

HARD_USD, MOST_USD, AT_ONCE = 2.0, 0.02, 12
DAY, NOON = "2026-11-29", datetime(2026, 11, 29, 12, tzinfo=UTC)
ENOUGH_USD = 0.1
"""Once the second process has spent so much the first one is killed."""


def spend(url: str, folder: str, bill: str, calls_each: int) -> None:
    """Makes calls until the budget refuses them; each real cost goes to the bill, as a provider would note it.

    After `calls_each` calls of each of its tasks a call never ends: somebody has to kill the process.
    """
    asyncio.run(_spend(url, Path(folder), bill, calls_each))


async def _spend(url: str, folder: Path, bill: str, calls_each: int) -> None:
    database = open_database(url)
    spool = Spool(folder / "spool")
    drain = SpoolDrain(folder / "spool", database, spool.executor)
    rules = BudgetRules.model_validate({"agents": {"clerk": {"day": {"hardUsd": HARD_USD}}}})
    budgets = SharedBudgets(
        rules, lambda: BudgetStore(database), spool, spool.executor, folder=spool.folder, now=lambda: NOON
    )
    budgets.start()
    billing = os.open(bill, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    claim = RunClaim("run", "clerk", "desk", None, "direct", Limits.model_validate({}))

    async def calls() -> None:
        made = 0
        while True:
            try:
                money = await budgets.reserve(claim, "models/fake@1.0.0", MOST_USD, lambda data: None)
            except BudgetSpent:
                return
            made += 1
            cost_usd = random.uniform(0, MOST_USD)
            os.write(billing, f"{nano_of(cost_usd)}\n".encode())
            await asyncio.sleep(random.uniform(0, 0.01) if made < calls_each else 3_600)
            money.settle(cost_usd)

    await asyncio.gather(*(calls() for _ in range(AT_ONCE)))
    await budgets.close()
    spool.close()
    drain.close()
    database.close()
    os.close(billing)


def test_processes_at_once_and_one_killed_never_spend_more_than_the_budget(database_url: str, tmp_path: Path) -> None:
    database = open_database(database_url)
    context = multiprocessing.get_context("spawn")
    bills = [tmp_path / f"bill-{number}" for number in range(2)]
    homes = [tmp_path / f"home-{number}" for number in range(2)]
    processes = [
        context.Process(target=spend, args=(database_url, str(home), str(bill), calls_each))
        for home, bill, calls_each in zip(homes, bills, (5, 1_000_000), strict=True)
    ]
    processes[0].start()
    wait_for(lambda: billed(bills[0]) > 0)
    processes[1].start()
    wait_for(lambda: billed(bills[1]) > ENOUGH_USD * NANO)
    assert processes[0].pid is not None
    os.kill(processes[0].pid, signal.SIGKILL)
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [-signal.SIGKILL, 0]
    hard, budgets = nano_of(HARD_USD), BudgetStore(database)
    before = next(row for row in budgets.rows([DAY]) if row.holder == "agent:clerk")
    assert billed(*bills) <= before.spent + before.held <= hard
    assert before.executors == 1  # what the dead one held counts until its spool is read
    SpoolDrain(homes[0] / "spool", database, threaded=False).drain_once()
    after = next(row for row in budgets.rows([DAY]) if row.holder == "agent:clerk")
    assert billed(*bills) <= after.spent <= hard
    assert (after.held, after.executors) == (0, 0)
    assert after.spent == budgets.ledger.sums("agent:clerk", period=DAY).spent
    lost = [line for line in budgets.ledger.lines("agent:clerk", limit=1_000) if line["kind"] == "lost"]
    assert [(line["estimated"], line["amountUsd"] >= 0.01) for line in lost] == [(True, True)]
    assert after.spent <= billed(*bills) + AT_ONCE * nano_of(MOST_USD)  # no more than its calls could have cost
    database.close()


def wait_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < until, "nothing is spent"
        time.sleep(0.005)


def billed(*bills: Path) -> int:
    """What the provider noted, billionths of a USD; half a line at the end was never a whole call."""
    texts = [bill.read_text() for bill in bills if bill.exists()]
    return sum(int(line) for text in texts for line in text.splitlines())

"""SharedBudgets: the budgets of one executor, drawn in blocks from accounts that all executors share."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from penstock.contracts.budget import Budget, BudgetRules
from penstock.engine.budgets.allowances import allowances
from penstock.engine.budgets.bank import Bank, Granted
from penstock.engine.budgets.purse import Purse
from penstock.engine.budgets.refusal import as_seen_by, budget_spent, is_hopeless
from penstock.engine.budgets.spending import Spending
from penstock.engine.budgets.waiting import WaitingLines
from penstock.engine.controls import Alerted, RunClaim
from penstock.engine.sink import Sink
from penstock.errors import BudgetSpent, PenstockError, Unavailable
from penstock.store.budget_ledger import Account
from penstock.store.budgets import BudgetStore, Draw, NotEnough
from penstock.store.money import nano_of, usd_of
from penstock.store.purse_file import PurseFile

LOG = logging.getLogger("penstock.engine")
WAIT_S = 2.0
"""How long a call waits for money that others hold before it is refused."""
POLL_S = 0.25
TICK_S = 1.0
GROUPS = 10_000
IDLE_S = 2.0
"""Money that nobody asked for so long goes back to its account."""


class SharedBudgets:
    """Sets money aside before each call, in all budgets that bind it or in none, and writes down what was spent.

    `store` gives the accounts, raising `Unavailable` while the database is away; `executor` is the name of the spool
    that `sink` writes: whoever drains it knows by that whose money it was. `folder` is that spool's, where it also
    finds what was in hand, if this process is killed; None = nobody looks. `now` is the time, UTC.
    """

    def __init__(
        self,
        rules: BudgetRules,
        store: Callable[[], BudgetStore],
        sink: Sink,
        executor: str,
        *,
        folder: Path | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._rules = rules
        self._bank = Bank(store, executor, self._granted_late)
        self._sink = sink
        self._executor = executor
        self._now = now
        self._file = PurseFile(folder) if folder is not None else None
        self._purses: dict[Account, Purse] = {}
        self._groups: dict[tuple[str, str, str | None], tuple[Purse, ...]] = {}
        self._day = date.min
        self._turn = asyncio.Lock()
        self._waiting = WaitingLines()
        self._refused: dict[Account, tuple[float, NotEnough]] = {}
        self._ledgers: dict[Account, tuple[float, list[dict[str, Any]]]] = {}
        self._unpriced_told: set[tuple[str, str]] = set()
        self._returning: dict[Account, int] = {}
        self._unwritten: list[dict[str, Any]] = []
        self._count = 0
        self._ticking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to give back what lies idle, on the running loop."""
        self._ticking = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Gives everything back, by the spool; to be called once no run is left and before the spool is closed."""
        if self._ticking is not None:
            self._ticking.cancel()
        self._write({"kind": "purse-closed", "executor": self._executor})
        if self._file is not None:
            self._file.close()

    def operate_by(self, rules: BudgetRules) -> None:
        """Puts changed rules in force for the next call; money in hand is drawn anew under them."""
        self._rules = rules
        self._groups.clear()
        self._refused.clear()
        self._take_back(self._purses.values())

    async def admit(self, claim: RunClaim, alerted: Alerted) -> Budget:
        """What the run itself may spend. Raises `BudgetSpent`, or `Unavailable` if nobody can say."""
        purses = self._of(claim)
        await self._require(claim, purses, 1)
        await self._alert(purses, alerted)
        return self._rules.run

    async def reserve(self, claim: RunClaim, model: str, most_usd: float | None, alerted: Alerted) -> Spending:
        """Sets aside the most that a call of `model` can cost, once it is free in every budget."""
        if most_usd is None:
            self._allow_unpriced(claim, model, alerted)
        purses, most = self._of(claim), nano_of(most_usd or 0.0)
        await self._require(claim, purses, most)
        at = time.monotonic()
        for purse in purses:
            purse.reserved += most
            purse.used_at = at
        self._note(purses)
        await self._alert(purses, alerted)
        unpriced = most_usd is None
        return Spending(claim, model, None if unpriced else most, purses, self._day.isoformat(), self._settled)

    def _of(self, claim: RunClaim) -> tuple[Purse, ...]:
        """The purses that bind a run today."""
        today = self._now().date()
        if today != self._day:
            self._day = today
            self._groups.clear()
            self._unpriced_told.clear()
        key = (claim.agent, claim.team, claim.tenant)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= GROUPS:
                self._groups.clear()
            found = []
            for account, budget, declared in allowances(self._rules, claim, today):
                purse = self._purses.setdefault(account, Purse(account))
                purse.bind(budget, declared=declared)
                found.append(purse)
            group = self._groups[key] = tuple(found)
        return group

    async def _require(self, claim: RunClaim, purses: Sequence[Purse], need: int) -> None:
        """Returns, without giving up the loop after it, once all purses have `need` free."""
        patience: float | None = None
        while lacking := [purse for purse in purses if purse.free < need]:
            refusal = await self._draw(lacking, need)
            if refusal is None:
                continue
            at = time.monotonic()
            patience = patience if patience is not None else at + WAIT_S
            if is_hopeless(refusal) or at >= patience:
                raise await self._refusal(claim, refusal)
            await self._waiting.wait(refusal.draw.account, min(POLL_S, patience - at))
        if patience is not None:
            self._waiting.wake(purse.account for purse in purses)

    async def _draw(self, lacking: Sequence[Purse], need: int) -> NotEnough | None:
        """Draws blocks, one executor's draw at a time; why not, if an account does not hold enough."""
        async with self._turn:
            lacking = [purse for purse in lacking if purse.free < need]
            for purse in lacking:
                at, refusal = self._refused.get(purse.account, (0.0, None))
                if refusal is not None and time.monotonic() < at + POLL_S and need - purse.free >= refusal.draw.need:
                    return refusal
            if not lacking:
                return None
            # In a task of its own: what a run that is cancelled has drawn is there for the others.
            return await asyncio.shield(asyncio.ensure_future(self._drawn(lacking, need)))

    async def _drawn(self, lacking: Sequence[Purse], need: int) -> NotEnough | None:
        draws = [Draw(purse.account, need - purse.free, purse.hard) for purse in lacking]
        try:
            await self._hand_over()
            drawn = await self._bank.draw(draws)
        except NotEnough as error:
            [refusal] = [one.refused(error) for one in lacking if one.account == error.draw.account]
            self._refused[refusal.draw.account] = (time.monotonic(), refusal)
            return refusal
        except Unavailable as problem:
            return self._drawn_alone(lacking, need, problem)
        for purse in lacking:
            purse.take(drawn[purse.account])
            purse.used_at = time.monotonic()
        self._note(lacking)
        return None

    def _granted_late(self, drawn: Granted) -> None:
        """Takes what the bank granted when nobody waited for it any more."""
        for account, block in drawn.items():
            purse = self._purses.get(account)
            if purse is None:  # its period is over
                self._returning[account] = self._returning.get(account, 0) + block.granted
            else:
                purse.take(block)
                self._note([purse])
        self._waiting.wake(drawn)

    def _drawn_alone(self, lacking: Sequence[Purse], need: int, problem: Unavailable) -> NotEnough | None:
        """Without the database: budgets that nobody declared are held by each executor alone, all others refuse."""
        for purse in lacking:
            if purse.declared:
                what = f"the budget of {purse.account[0]} cannot be asked: {problem.what}"
                raise Unavailable(what, where=problem.where, now=problem.now)
        for purse in lacking:
            wanted = need - purse.free
            if not purse.draw_alone(wanted):
                return NotEnough(Draw(purse.account, wanted, purse.hard), purse.spent, purse.granted - purse.used)
        return None

    async def _refusal(self, claim: RunClaim, refusal: NotEnough) -> BudgetSpent:
        at, ledger = self._ledgers.get(refusal.draw.account, (0.0, []))
        if time.monotonic() >= at + TICK_S:
            try:
                ledger = await self._bank.ledger(refusal)
            except Unavailable as problem:
                LOG.warning("a refusal shows no ledger: %s", problem)
            self._ledgers[refusal.draw.account] = (time.monotonic(), ledger)
        return budget_spent(refusal, as_seen_by(claim, ledger), run_id=claim.run_id, at=self._now())

    async def _alert(self, purses: Sequence[Purse], alerted: Alerted) -> None:
        """Tells of each soft limit that is reached: once a period, by whichever executor notices first."""
        for purse in purses:
            if not purse.is_over_soft or purse.is_told or purse.soft is None:
                continue
            purse.is_told = True
            try:
                is_first = await self._bank.is_first_alert(purse.account)
            except Unavailable:
                is_first = True
            if is_first:
                holder, period = purse.account
                limits = {"spentUsd": usd_of(purse.spent), "limitUsd": usd_of(purse.soft)}
                alerted({"scope": holder.partition(":")[0], "holder": holder, "period": period, **limits})

    def _allow_unpriced(self, claim: RunClaim, model: str, alerted: Alerted) -> None:
        """Raises `BudgetSpent` unless the rules let calls of unknown price pass; tells of it once a day and model."""
        if self._rules.unpriced == "refuse":
            raise BudgetSpent(
                f"the price of {model} is not known, so that no budget can be held",
                where=f"{model}, run {claim.run_id}",
                now="declare spec.price in the model (0 is a price), or spec.budgets.unpriced: allow",
            )
        if (claim.agent, model) not in self._unpriced_told:
            self._unpriced_told.add((claim.agent, model))
            unknown = {"spentUsd": None, "limitUsd": None, "model": model}
            alerted({"scope": "unpriced", "holder": f"agent:{claim.agent}", "period": self._day.isoformat(), **unknown})

    def _settled(self, purses: Sequence[Purse], record: dict[str, Any] | None) -> None:
        """Writes down what a call cost, and wakes whoever waits for what it did not."""
        self._note(purses)
        self._waiting.wake([purse.account for purse in purses])
        if record is not None:
            self._count += 1
            record["id"] = f"{self._executor}-{self._count}"
            record["executor"] = self._executor
            self._write(record)

    def _write(self, record: dict[str, Any]) -> None:
        self._unwritten.append(record)
        while self._unwritten:
            try:
                self._sink.append(self._unwritten[0])
            except PenstockError:
                return  # the disk is away: nothing is answered meanwhile, and the next one tries again
            del self._unwritten[0]

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self._give_back()
            except Unavailable as problem:
                LOG.info("idle money stays in hand: %s", problem)
            except Exception:
                LOG.exception("idle money stays in hand")

    async def _give_back(self) -> None:
        """Returns what lies idle, and forgets the purses of past periods."""
        idle_since = time.monotonic() - IDLE_S
        idle = [purse for purse in self._purses.values() if purse.used_at < idle_since]
        self._take_back(idle)
        bound = {id(purse) for group in self._groups.values() for purse in group}
        for purse in idle:
            if not purse.reserved and id(purse) not in bound:
                del self._purses[purse.account]
        await self._hand_over()

    def _take_back(self, purses: Iterable[Purse]) -> None:
        """Empties purses; the accounts get it by `_hand_over`."""
        for purse in purses:
            self._returning[purse.account] = self._returning.get(purse.account, 0) + purse.give_back()
            self._note([purse])

    def _note(self, purses: Iterable[Purse]) -> None:
        """Notes what is in hand where it outlives this process."""
        if self._file is not None:
            for purse in purses:
                self._file.put(purse.account, purse.drawn, purse.committed)

    async def _hand_over(self) -> None:
        """Gives accounts what purses gave up. If that fails it stays held until this executor ends: never twice."""
        if self._bank.is_silent:
            return
        returning, self._returning = {account: back for account, back in self._returning.items() if back}, {}
        if returning:
            await self._bank.give_back(returning)

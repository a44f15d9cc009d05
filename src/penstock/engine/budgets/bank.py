"""Bank: the accounts that all executors share, asked in threads and waited for in bounds."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from penstock.engine.budgets.refusal import read_ledger
from penstock.errors import Unavailable
from penstock.store.budget_ledger import Account
from penstock.store.budgets import BudgetStore, Draw, Drawn, NotEnough
from penstock.store.threads import in_database_thread

ANSWER_S = 5.0
"""A database that says nothing for so long is taken to be away, until it says something."""

T = TypeVar("T")
Granted = Mapping[Account, Drawn]


class Bank:
    """The accounts of `store` for one executor. Everything raises `Unavailable` while the database is away or silent.

    What it grants after nobody waited any more goes to `late`: it is this executor's all the same.
    """

    def __init__(self, store: Callable[[], BudgetStore], executor: str, late: Callable[[Granted], None]) -> None:
        self._store = store
        self._executor = executor
        self._late = late
        self._overdue: set[asyncio.Task[Any]] = set()

    @property
    def is_silent(self) -> bool:
        """Whether it still owes an answer that nobody waits for any more."""
        return bool(self._overdue)

    async def draw(self, draws: Sequence[Draw]) -> Granted:
        """Draws from all accounts or from none; raises `NotEnough`."""
        return await self._ask(lambda: self._store().draw(self._executor, draws), self._late)

    async def give_back(self, returning: dict[Account, int]) -> None:
        """Returns what was drawn and not spent."""
        await self._ask(lambda: self._store().give_back(self._executor, returning))

    async def ledger(self, refusal: NotEnough) -> list[dict[str, Any]]:
        """The lines behind a refusal."""
        return await self._ask(lambda: read_ledger(self._store, refusal))

    async def is_first_alert(self, account: Account) -> bool:
        """Whether nobody told of the account's soft limit before."""
        return await self._ask(lambda: self._store().is_first_alert(account))

    async def _ask(self, work: Callable[[], T], late: Callable[[T], None] | None = None) -> T:
        if self.is_silent:
            raise _silent()
        task = asyncio.ensure_future(in_database_thread(work))
        await asyncio.wait([task], timeout=ANSWER_S)
        if task.done():
            return task.result()
        self._overdue.add(task)
        task.add_done_callback(lambda done: self._answered(done, late))
        raise _silent()

    def _answered(self, task: "asyncio.Task[T]", late: Callable[[T], None] | None) -> None:
        self._overdue.discard(task)
        if not task.cancelled() and task.exception() is None and late is not None:
            late(task.result())


def _silent() -> Unavailable:
    return Unavailable(f"the database has not answered for {ANSWER_S:g} s", where="budgets", now="see /readyz")

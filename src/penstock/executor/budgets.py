"""The budgets of an executor: put together from its operations, its database and its spool."""

from collections.abc import Callable
from dataclasses import replace

from penstock.contracts.operations import OperationsSpec
from penstock.engine.budgets.shared import SharedBudgets
from penstock.engine.engine import Engine
from penstock.store.budgets import BudgetStore
from penstock.store.database import Database
from penstock.store.spool import Spool


def open_budgets(
    engine: Engine, operations: OperationsSpec, database: Callable[[], Database], spool: Spool
) -> SharedBudgets:
    """Budgets that `engine` holds from now on; `database` raises `Unavailable` while it is away.

    To be closed once no run is left, and before the spool is.
    """
    rules, store = operations.budgets, lambda: BudgetStore(database())
    budgets = SharedBudgets(rules, store, spool, spool.executor, folder=spool.folder)
    engine.controls = replace(engine.controls, budgets=budgets)
    budgets.start()
    return budgets

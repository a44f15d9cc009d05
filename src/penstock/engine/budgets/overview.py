"""What budgets there are and how they stand: for people who ask, never for a run."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from penstock.contracts.budget import Budget, BudgetRules
from penstock.engine.budgets.allowances import PERIODS, holder_budgets, period_of
from penstock.store.budgets import AccountRow, BudgetStore
from penstock.store.money import usd_of


@dataclass(frozen=True, slots=True)
class Standing:
    """One holder's budget of one period beside what is spent of it, USD. `left_usd` None = there is no hard limit."""

    row: AccountRow
    budget: Budget

    @property
    def left_usd(self) -> float | None:
        """What nobody spent or holds; 0 where more is spent than a limit that was lowered."""
        if self.budget.hard_usd is None:
            return None
        return max(0.0, self.budget.hard_usd - usd_of(self.row.spent + self.row.held))

    def as_document(self) -> dict[str, Any]:
        """The standing as a JSON object."""
        return {
            "holder": self.row.holder,
            "period": self.row.period,
            "softUsd": self.budget.soft_usd,
            "hardUsd": self.budget.hard_usd,
            "spentUsd": usd_of(self.row.spent),
            "heldUsd": usd_of(self.row.held),
            "leftUsd": self.left_usd,
            "executors": self.row.executors,
        }


def standings(store: BudgetStore, rules: BudgetRules, day: date) -> list[Standing]:
    """Every holder that spent something that day or in its month, and every one that the rules name, by name."""
    rows = {(row.holder, row.period): row for row in store.rows([period_of(name, day) for name in PERIODS])}
    named = {"agent": rules.agents, "team": rules.teams, "tenant": rules.tenants}
    holders = {row.holder for row in rows.values()} | {f"{kind}:{name}" for kind in named for name in named[kind]}
    found = []
    for holder in sorted(holders):
        budgets = holder_budgets(rules, holder)
        for name in PERIODS:
            period = period_of(name, day)
            budget = getattr(budgets, name) or Budget.model_validate({})
            row = rows.get((holder, period)) or AccountRow(holder, period, 0, 0, 0)
            if budget != Budget.model_validate({}) or row.spent or row.held:
                found.append(Standing(row, budget))
    return found

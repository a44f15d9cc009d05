"""Which budgets a run draws on: of its agent, its team and its tenant, for the day and the month."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

from penstock.contracts.budget import Budget, BudgetRules, PeriodBudgets
from penstock.engine.controls import RunClaim
from penstock.store.budget_ledger import Account

PERIODS = ("day", "month")


class Allowance(NamedTuple):
    """One budget of one holder in one period. `declared` = the platform team named it."""

    account: Account
    budget: Budget
    declared: bool


def utc_today() -> date:
    """The day that money counts in now."""
    return datetime.now(UTC).date()


def period_of(name: str, day: date) -> str:
    """The day or month as accounts write it: 2026-11-29, 2026-11."""
    return day.isoformat() if name == "day" else day.isoformat()[:7]


def allowances(rules: BudgetRules, claim: RunClaim, day: date) -> Iterator[Allowance]:
    """All budgets that bind a run on that day; a holder without limits has none."""
    holders = (
        ("agent", claim.agent, rules.agents, rules.agent),
        ("team", claim.team, rules.teams, rules.team),
        ("tenant", claim.tenant, rules.tenants, rules.tenant),
    )
    for kind, name, by_name, default in holders:
        if name is None:
            continue
        budgets, declared = _of(rules, kind, name, by_name, default)
        for period in PERIODS:
            budget: Budget | None = getattr(budgets, period)
            if budget is not None and (budget.soft_usd is not None or budget.hard_usd is not None):
                yield Allowance((f"{kind}:{name}", period_of(period, day)), budget, declared)


def holder_budgets(rules: BudgetRules, holder: str) -> PeriodBudgets:
    """The budgets of a holder as agent:<name>, team:<name> or tenant:<id>."""
    kind, _, name = holder.partition(":")
    return _of(rules, kind, name, getattr(rules, f"{kind}s"), getattr(rules, kind))[0]


def _of(
    rules: BudgetRules, kind: str, name: str, by_name: Mapping[str, PeriodBudgets], default: PeriodBudgets
) -> tuple[PeriodBudgets, bool]:
    named = by_name.get(name)
    return (named, True) if named is not None else (default, kind in rules.model_fields_set)

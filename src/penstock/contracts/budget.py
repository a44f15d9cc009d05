"""Budgets: how much money may be spent, by whom and in which time."""

from typing import Literal

from pydantic import Field, model_validator

from penstock.contracts.document import Name, Spec


class Budget(Spec):
    """One amount of money in one period. A soft limit alerts, a hard one refuses."""

    soft_usd: float | None = Field(None, ge=0, description="USD; the first call over it raises an alert.")
    hard_usd: float | None = Field(None, ge=0, description="USD; never overshot, whatever runs at once. 0 = nothing.")

    @model_validator(mode="after")
    def _in_order(self) -> "Budget":
        if self.soft_usd is not None and self.hard_usd is not None and self.soft_usd > self.hard_usd:
            raise ValueError("softUsd is above hardUsd, so that it would never be heard of")
        return self


class PeriodBudgets(Spec):
    """What one holder may spend, by the calendar in UTC."""

    day: Budget | None = Field(None, description="Of a calendar day.")
    month: Budget | None = Field(None, description="Of a calendar month.")


def _run() -> Budget:
    return Budget.model_validate({"softUsd": 1.0, "hardUsd": 5.0})


def _everybody() -> PeriodBudgets:
    return PeriodBudgets.model_validate({"day": {"softUsd": 80.0, "hardUsd": 100.0}})


def _none() -> PeriodBudgets:
    return PeriodBudgets.model_validate({})


class BudgetRules(Spec):
    """The budgets of a project. Whoever is not named has the default: nobody spends without a limit."""

    run: Budget = Field(default_factory=_run, description="Each run; an agent's limits.maxCostUsd wins where lower.")
    agent: PeriodBudgets = Field(default_factory=_everybody, description="Each agent that `agents` does not name.")
    team: PeriodBudgets = Field(default_factory=_none, description="Each team that `teams` does not name.")
    tenant: PeriodBudgets = Field(default_factory=_none, description="Each tenant that `tenants` does not name.")
    agents: dict[Name, PeriodBudgets] = Field(default_factory=dict, description="By agent.")
    teams: dict[Name, PeriodBudgets] = Field(default_factory=dict, description="By team.")
    tenants: dict[str, PeriodBudgets] = Field(default_factory=dict, description="By tenant.")
    unpriced: Literal["refuse", "allow"] = Field(
        "refuse", description="Calls of a model whose price is not known: no budget can be held for them."
    )

"""Why a budget refuses, with the ledger lines behind it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from penstock.engine.controls import RunClaim
from penstock.errors import BudgetSpent
from penstock.store.budgets import BudgetStore, NotEnough
from penstock.store.money import usd_of

LINES = 10
SOON_S = 1.0
_DAY = len("2026-11-29")


def budget_spent(refusal: NotEnough, ledger: Sequence[Mapping[str, Any]], *, run_id: str, at: datetime) -> BudgetSpent:
    """The error for a caller; a retry helps soon where money is only held, else in the next period."""
    draw = refusal.draw
    holder, period = draw.account
    hard = draw.hard or 0
    held = f", {usd_of(refusal.held):.6f} held for calls in flight" if refusal.held else ""
    what = (
        f"the budget of {holder} for {period} is used up: {usd_of(refusal.spent):.6f} of {usd_of(hard):.6f} USD spent"
        f"{held}, {usd_of(draw.need):.6f} needed"
    )
    return BudgetSpent(
        what,
        where=f"{holder}, run {run_id}",
        now=f"wait for the next {_word(period)} (UTC), or ask the platform team: spec.budgets of "
        "pipelines/operations.yaml; `agentctl budget ledger` shows every line",
        retry_after_s=SOON_S if not is_hopeless(refusal) else seconds_left(period, at),
        ledger=[dict(line) for line in ledger],
    )


def is_hopeless(refusal: NotEnough) -> bool:
    """Whether it would not fit even if all that is held came back."""
    return refusal.spent + refusal.draw.need > (refusal.draw.hard or 0)


def read_ledger(store: Callable[[], BudgetStore], refusal: NotEnough) -> list[dict[str, Any]]:
    """The sums of an account, then its newest lines, newest last."""
    holder, period = refusal.draw.account
    ledger = store().ledger
    sums = {
        "kind": "sum",
        "holder": holder,
        "period": period,
        "limitUsd": usd_of(refusal.draw.hard or 0),
        "heldUsd": usd_of(refusal.held),
        **ledger.sums(holder, period=period).as_document(),
    }
    return [sums, *ledger.lines(holder, period=period, limit=LINES)]


def as_seen_by(claim: RunClaim, ledger: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The lines as the caller may see them: of other tenants' runs the amounts alone."""
    hidden = {"runId", "tenant", "who"}
    return [
        dict(line)
        if line["kind"] == "sum" or line.get("tenant") == claim.tenant
        else {name: value for name, value in line.items() if name not in hidden}
        for line in ledger
    ]


def seconds_left(period: str, at: datetime) -> float:
    """Until the next day or month begins (UTC)."""
    begun = date.fromisoformat(period if len(period) == _DAY else f"{period}-01")
    after = begun + timedelta(days=1 if len(period) == _DAY else 32)
    begins = after if len(period) == _DAY else after.replace(day=1)
    return max(SOON_S, (datetime(begins.year, begins.month, begins.day, tzinfo=UTC) - at).total_seconds())


def _word(period: str) -> str:
    return "day" if len(period) == _DAY else "month"

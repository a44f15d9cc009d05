"""Corrections of budgets: what a person says of money that was counted wrongly, on record for good."""

from datetime import date

from penstock.errors import Refused, WrongUse
from penstock.registry.layout import TEAMS
from penstock.release.people import line_managers
from penstock.release.urgent import clean_reason
from penstock.release.workspace import Workspace
from penstock.store.budget_ledger import HOLDERS
from penstock.store.budgets import BudgetStore


def require_holder(text: str) -> str:
    """A holder as accounts name it; raises `WrongUse` for what is none."""
    kind, _, name = text.partition(":")
    if kind not in HOLDERS or not name:
        raise WrongUse(f"{text!r} is no holder of budgets", where="HOLDER", now="agent:NAME, team:NAME or tenant:ID")
    return text


def correct_budget(workspace: Workspace, holder: str, day: date, amount_usd: float, reason: str) -> str:
    """Adds `amount_usd` (below 0 takes off) to what a holder spent on a day and in its month; returns the line's id.

    Raises `Refused` for who is neither a release manager nor of the platform team, by teams.yaml of the base branch as
    last fetched, or when less than nothing would be left spent.
    """
    text, person = clean_reason(reason), workspace.person
    if not amount_usd:
        raise WrongUse("a correction of nothing", where="--amount", now="such as -1.23")
    allowed = line_managers(workspace.teams())
    if person.mail not in allowed:
        raise Refused(
            f"{person.mail} may not correct a budget",
            where=TEAMS,
            now=f"ask one of: {', '.join(sorted(allowed)) or 'nobody'}",
        )
    store = BudgetStore(workspace.database)
    return store.correct(require_holder(holder), day.isoformat(), amount_usd, who=person.mail, reason=text)

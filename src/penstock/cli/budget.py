"""`agentctl budget`: what may be spent, what was, and corrections of it."""

from datetime import UTC, datetime
from typing import Any

import click

from penstock.cli.context import project_settings
from penstock.cli.ledger_text import ledger_line
from penstock.cli.output import json_option, show
from penstock.cli.subject import reason_option, workspace_here
from penstock.store.period import since as parse_since


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def budget(ctx: click.Context, as_json: bool) -> int:
    """Shows what agents, teams and tenants may spend today and this month (UTC), spent, and have left."""
    if ctx.invoked_subcommand is not None:
        return 0
    from penstock.engine.budgets.overview import standings
    from penstock.executor.operations_file import read_operations
    from penstock.executor.stored import open_stored
    from penstock.registry.layout import OPERATIONS
    from penstock.store.budgets import BudgetStore

    settings = project_settings()
    rules = read_operations(settings.root / OPERATIONS).budgets
    with open_stored(settings) as database:
        rows = [one.as_document() for one in standings(BudgetStore(database), rules, datetime.now(UTC).date())]
    show({"budgets": rows}, _table(rows), as_json=as_json)
    return 0


@budget.command()
@click.argument("holder")
@click.option("--since", default="24h", show_default=True, metavar="PERIOD", help="30m, 24h, 7d, or a moment.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The newest so many.")
@json_option
def ledger(holder: str, since: str, limit: int, as_json: bool) -> int:
    """Shows the ledger of HOLDER (agent:NAME, team:NAME, tenant:ID): each call, correction and loss, and the sums."""
    from penstock.executor.stored import open_stored
    from penstock.release.budget import require_holder
    from penstock.store.budget_ledger import BudgetLedger

    begun, whose = parse_since(since), require_holder(holder)
    with open_stored(project_settings()) as database:
        book = BudgetLedger(database)
        sums = book.sums(whose, since=begun).as_document()
        lines = book.lines(whose, since=begun, limit=limit)
    text = [*map(ledger_line, lines), ledger_line({"kind": "sum", **sums})]
    show({"holder": whose, "since": begun, "sums": sums, "lines": lines}, "\n".join(text), as_json=as_json)
    return 0


@budget.command()
@click.argument("holder")
@click.option("--amount", type=float, required=True, metavar="USD", help="What is added; below 0 is taken off.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="The day (UTC) that it counts in; default: today.")
@reason_option()
@json_option
def correct(holder: str, amount: float, day: datetime | None, reason: str, as_json: bool) -> int:
    """Corrects what HOLDER spent, in the day and its month; a release manager's, or the platform team's.

    For estimates that a provider's bill proves wrong. It stays in the ledger, with who, when and why.
    """
    from penstock.release.budget import correct_budget

    on = (day or datetime.now(UTC)).date()
    workspace = workspace_here()
    try:
        line = correct_budget(workspace, holder, on, amount, reason)
    finally:
        workspace.close()
    document = {"id": line, "holder": holder, "day": on.isoformat(), "amountUsd": amount}
    show(document, f"{holder} {on}: {amount:+.6f} USD, line {line}", as_json=as_json)
    return 0


def _table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "nobody spent anything, and no budget names anybody"
    width = max(len(row["holder"]) for row in rows)
    lines = [f"{'holder':{width}}  {'period':10} {'spent':>12} {'held':>12} {'soft':>12} {'hard':>12} {'left':>12}"]
    for row in rows:
        figures = " ".join(
            f"{_usd(row[name]):>12}" for name in ("spentUsd", "heldUsd", "softUsd", "hardUsd", "leftUsd")
        )
        lines.append(f"{row['holder']:{width}}  {row['period']:10} {figures}")
    return "\n".join(lines)


def _usd(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:.6f}"

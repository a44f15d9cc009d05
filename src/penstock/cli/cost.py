"""`agentctl cost`: what runs cost, by whatever one wants to know."""

from pathlib import Path

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, say, show
from penstock.errors import Unavailable, WrongUse
from penstock.reporting.cost_plot import bar, cost_svg, usd_text
from penstock.store.cost import DIMENSIONS, CostRow, CostStore, CostTable, Dimension
from penstock.store.period import since as parse_since

MODES = ["live", "eval", "shadow"]
LONGEST = 44


@click.command()
@click.option("--by", type=click.Choice(DIMENSIONS), default="agent", show_default=True, help="One row for each.")
@click.option("--since", default="7d", show_default=True, metavar="PERIOD", help="30m, 24h, 7d, or a moment.")
@click.option("--agent", metavar="NAME", help="Runs of this agent.")
@click.option("--team", metavar="NAME", help="Runs of this team's agents.")
@click.option("--tenant", metavar="ID", help="Runs of this tenant.")
@click.option("--mode", type=click.Choice(MODES), default="live", show_default=True, help="Runs of this mode.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The first so many rows.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.svg", help="Draw it as well.")
@json_option
def cost(by: Dimension, since: str, mode: str, limit: int, plot: Path | None, as_json: bool, **only: str | None) -> int:
    """Shows runs, tokens, cost and duration; failed and cancelled runs count, rejected ones never began.

    A run whose price is not known has a column of its own, and makes the cost "at least".
    """
    from penstock.executor.stored import open_stored

    begun = parse_since(since)
    if plot is not None and plot.suffix != ".svg":
        raise WrongUse("a plot is drawn as SVG", where=str(plot), now="name a file that ends in .svg")
    wanted = {name: value for name, value in only.items() if value is not None}
    with open_stored(project_settings()) as database:
        table = CostStore(database).table(by, begun, mode=mode, only=wanted)
    document = {"since": begun, "mode": mode, **wanted, **table.as_document(limit)}
    show(document, _text(table, limit), as_json=as_json)
    if plot is not None:
        _draw(plot, cost_svg(table, f"Cost by {by} since {begun[:16]}Z: {usd_text(table.total)}"))
    return 0


def _draw(file: Path, drawing: str) -> None:
    try:
        file.write_text(drawing, "utf-8")
    except OSError as error:
        raise Unavailable(f"cannot be written: {error.strerror}", where=str(file), now="check the folder") from None
    say(f"drawn: {file}")


def _text(table: CostTable, limit: int) -> str:
    if not table.total.runs:
        return "no runs"
    shown = table.rows[:limit]
    width = min(LONGEST, max(len(row.key) for row in (*shown, table.total)))
    head = f"{table.by:{width}} {'runs':>8} {'unpriced':>8} {'prompt':>12} {'completion':>12} {'total':>12}"
    lines = [f"{head} {'seconds':>10} {'USD':>16}"]
    lines += [f"{_row(row, width)}  {bar(row, shown)}".rstrip() for row in shown]
    if len(table.rows) > len(shown):
        lines.append(f"and {len(table.rows) - len(shown)} more")
    return "\n".join([*lines, _row(table.total, width)])


def _row(row: CostRow, width: int) -> str:
    key = row.key if len(row.key) <= width else f"{row.key[: width - 1]}…"
    tokens = row.prompt_tokens + row.completion_tokens
    usd = f"{'>= ' if row.unpriced else ''}{row.nano / 1e9:.6f}"
    figures = f"{row.runs:8} {row.unpriced:8} {row.prompt_tokens:12} {row.completion_tokens:12} {tokens:12}"
    return f"{key:{width}} {figures} {row.duration_ms / 1000:10.1f} {usd:>16}"

"""`agentctl slo`: what agents promise, beside what their live runs show."""

from typing import Any

import click

from penstock.cli.output import json_option, say, show
from penstock.cli.subject import workspace_here
from penstock.contracts.eval_suite import Online
from penstock.contracts.policy import Stage
from penstock.errors import NotFound, PenstockError
from penstock.release.workspace import Workspace
from penstock.store.period import since as parse_since

LEAST_COVERAGE = 0.99


@click.command()
@click.argument("agent", required=False)
@click.option("--stage", type=click.Choice(["dev", "canary", "prod"]), help="This stage; default: canary and prod.")
@click.option("--since", default="24h", show_default=True, metavar="PERIOD", help="30m, 24h, 7d, or a moment.")
@json_option
def slo(agent: str | None, stage: Stage | None, since: str, as_json: bool) -> int:
    """Shows the live runs of what stands in canary and prod beside its SLO, with what judges and users say of them.

    The error budget is of the period, burn rates are of the windows that the alert rules name; both are of the agent's
    runs at the stage, whatever version answered. Exit status 1 when a promise is missed. Where there is no run, or a
    figure is not known, it says so.
    """
    from penstock.executor.operations_file import read_operations
    from penstock.executor.stored import open_stored
    from penstock.registry.document_faults import did_you_mean
    from penstock.registry.layout import OPERATIONS
    from penstock.release.slo import slo_rows

    begun = parse_since(since)
    workspace = workspace_here()
    table = workspace.releases.newest_table()
    if table is None or (agent is not None and agent not in table.agents):
        known = sorted(table.agents) if table is not None else []
        hint = (agent and did_you_mean(agent, known)) or f"agents: {', '.join(known) or 'none'}"
        what = f"the routing table has no agent {agent!r}" if agent is not None else "there is no routing table yet"
        raise NotFound(what, where=workspace.releases.url, now=hint)
    suites = _suites(workspace)
    alerts = read_operations(workspace.settings.root / OPERATIONS).alerts
    with open_stored(workspace.settings) as database:
        release = workspace.releases.get_release
        rows = list(slo_rows(database, table, release, suites, begun, agent=agent, stage=stage, alerts=alerts))
    document = {"since": begun, "rows": [row.as_document() for row in rows]}
    show(document, "\n\n".join(map(_text, document["rows"])) or "nothing stands there", as_json=as_json)
    return 1 if any(row.outcome == "missed" for row in rows) else 0


def _suites(workspace: Workspace) -> dict[str, Online]:
    """What the suites on the base branch declare for live runs; nothing where Git is away, and that is said."""
    from penstock.release.online_judge import onlines

    try:
        return onlines(workspace.registry(workspace.base_head()))
    except PenstockError as error:
        say(f"how many runs judges should have scored is not known: {error.what}")
        return {}


def _text(row: Any) -> str:
    head = f"{row['agent']}@{row['version']} in {row['stage']}: {row['outcome']}"
    neutral = f", {row['neutral']} cancelled, rejected or cached" if row["neutral"] else ""
    lines = [head, f"  {row['runs']} runs{neutral}"]
    lines += [f"  {name:14} {_promise(name, promise)}" for name, promise in row["slo"].items()]
    for name, mean in row["judges"].items():
        lines.append(f"  {name:14} {_mean(mean, 'scores')}")
    lines += [f"  {_coverage(one)}" for one in row["coverage"]]
    lines.append(f"  {'feedback up':14} {_mean(row['feedback'], 'words')}")
    lines.append(f"  {'error budget':14} {_budget(row['errorBudget'])}")
    lines += [f"  {one['name']:14} {_burn(one)}" for one in row["burnRates"]]
    return "\n".join(lines)


def _promise(name: str, promise: dict[str, Any]) -> str:
    value, limit = promise["value"], promise["limit"]
    shown = f"no data ({promise['why']})" if value is None else _figure(name, value)
    if limit is None:
        return shown
    word = "at least" if name == "successRate" else "at most"
    return f"{shown}  [{promise['outcome']}: {word} {_figure(name, limit)}]"


def _figure(name: str, value: float) -> str:
    if name == "successRate":
        return f"{value:.2%}"
    return f"{value:.0f} ms" if name.endswith("Ms") else f"{value:.6f} USD"


def _mean(mean: dict[str, Any], unit: str) -> str:
    if not mean["n"]:
        return "no data"
    return f"{mean['mean']:.3f} ({mean['lower']:.3f} to {mean['upper']:.3f}) of {mean['n']} {unit}"


def _budget(budget: dict[str, Any]) -> str:
    used = f"{budget['failed']} of {budget['allowed']:g} failures"
    return f"no data ({budget['why']})" if budget["left"] is None else f"{budget['left']:.0%} left: {used}"


def _burn(burn: dict[str, Any]) -> str:
    words = {True: "BURNING", False: "within", None: "no data"}
    windows = (burn["long"], burn["short"])
    shown = [f"{one['window']} {'?' if one['rate'] is None else format(one['rate'], '.1f')}" for one in windows]
    why = next((f" ({one['why']})" for one in windows if one["rate"] is None), "")
    return f"{words[burn['burning']]}: burn rate {', '.join(shown)}, alert at {burn['factor']:g}{why}"


def _coverage(one: dict[str, Any]) -> str:
    if one["share"] is None:
        return f"{one['scorer']}: no run was chosen"
    short = "" if one["share"] >= LEAST_COVERAGE else f", less than {LEAST_COVERAGE:.0%}"
    more = "".join(
        f", {one[name]} {word}" for name, word in (("waiting", "waiting"), ("givenUp", "given up")) if one[name]
    )
    return (
        f"{one['scorer']}: {one['scored']} of {one['sampled']} chosen runs are scored ({one['share']:.1%}{short}){more}"
    )

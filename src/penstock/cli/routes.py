"""`agentctl routes`: the routing tables of the release store."""

from typing import Any

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.contracts.routing_table import AgentRoutes, RoutingTable
from penstock.errors import Invalid, NotFound
from penstock.store.objects import open_objects
from penstock.store.releases import ReleaseStore, table_name

SIGNATURE = "unsigned"


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def routes(ctx: click.Context, as_json: bool) -> int:
    """The routing table in force; its history, its soundness, and what changed."""
    if ctx.invoked_subcommand is None:
        return _show_table(as_json=as_json)
    if as_json:
        raise click.UsageError(f"--json comes after {ctx.invoked_subcommand}")
    return 0


@routes.command(name="show")
@json_option
def show_table(as_json: bool) -> int:
    """The table in force."""
    return _show_table(as_json=as_json)


@routes.command()
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
@json_option
def history(limit: int, as_json: bool) -> int:
    """The generations: what made each, who and why."""
    store = _store()
    rows = [_history_row(store, generation) for generation in sorted(store.generations(), reverse=True)[:limit]]
    lines = [
        f"{row['generation']:>6}  {row.get('createdAt', ''):27}  {row['kind']:10}  {row.get('actor', ''):24}  "
        f"{row.get('reason', '')}".rstrip()
        for row in rows
    ]
    show({"url": store.url, "generations": rows}, "\n".join(lines) or "no generations yet", as_json=as_json)
    return 0


@routes.command()
@json_option
def verify(as_json: bool) -> int:
    """Reads every table, release and blob and checks that they are whole; 1 if something is wrong."""
    from penstock.routing.verify import verify as verify_store

    seen = verify_store(_store())
    document = {
        "lineage": seen.lineage,
        "signature": SIGNATURE,
        "tables": seen.tables,
        "releases": seen.releases,
        "blobs": seen.blobs,
        "faults": seen.faults,
    }
    counts = f"{seen.tables} tables ({SIGNATURE}), {seen.releases} releases, {seen.blobs} blobs"
    text = "\n".join([*seen.faults, f"{counts}: {len(seen.faults)} faults" if seen.faults else f"{counts}: all sound"])
    show(document, text, as_json=as_json)
    return 1 if seen.faults else 0


@routes.command()
@click.argument("before", type=click.IntRange(min=1))
@click.argument("after", type=click.IntRange(min=1))
@json_option
def diff(before: int, after: int, as_json: bool) -> int:
    """What changed from one generation to another."""
    from penstock.routing.difference import difference

    store = _store()
    changes = [change.as_document() for change in difference(_generation(store, before), _generation(store, after))]
    lines = [
        f"{change['agent']}{'.' + change['field'] if change['field'] else ''}: "
        f"{_short(change['before'])} -> {_short(change['after'])}"
        for change in changes
    ]
    show({"before": before, "after": after, "changes": changes}, "\n".join(lines) or "no difference", as_json=as_json)
    return 0


@routes.command()
@json_option
def adopt(as_json: bool) -> int:
    """Lets this machine's executors take the tables of a release store that was set up anew."""
    from penstock.routing.table_memory import TableMemory

    memory = TableMemory(project_settings().cache)
    lineage = _store().lineage()
    remembered = memory.last()
    before = remembered[0].lineage if remembered is not None else None
    memory.adopt(lineage)
    text = f"executors of this cache take lineage {lineage}"
    if before is not None:
        text += f" instead of {before}" if before != lineage else ", as before"
    show({"before": before, "lineage": lineage}, text, as_json=as_json)
    return 0


def _show_table(*, as_json: bool) -> int:
    store = _store()
    table, highest = store.newest_and_highest()
    if table is None:
        raise NotFound("there is no routing table yet", where=store.url, now="`agentctl promote` makes the first")
    head = (
        f"generation {table.generation}, {SIGNATURE}, {table.created_at}: {table.source.kind} by {table.source.actor}"
        + (f" ({table.source.reason})" if table.source.reason else "")
    )
    torn = [f"generation {highest} is not complete and not in force"] if highest != table.generation else []
    lines = [head, *torn, *(_agent_line(name, entry, table) for name, entry in sorted(table.agents.items()))]
    document = {"url": store.url, "signature": SIGNATURE, "highestGeneration": highest, "table": table.as_document()}
    show(document, "\n".join(lines), as_json=as_json)
    return 0


def _agent_line(name: str, entry: AgentRoutes, table: RoutingTable) -> str:
    parts = [f"prod {entry.prod.version}" if entry.prod else "prod -"]
    if entry.canary:
        share = f"at {entry.canary.weight_bp / 100:g} %" if entry.prod else "on request only"
        parts.append(f"canary {entry.canary.version} {share}")
    if entry.previous:
        parts.append(f"previous {entry.previous.version}")
    if entry.dev:
        parts.append(f"dev {', '.join(one.version for one in entry.dev)}")
    if entry.draining:
        parts.append(f"draining {', '.join(one.version for one in entry.draining)}")
    if entry.quarantined:
        parts.append(f"{len(entry.quarantined)} quarantined")
    if entry.degraded:
        parts.append(f"degraded to {entry.degraded.model}")
    if entry.hold:
        parts.append("on hold")
    if table.overlay.get(name):
        parts.append(f"{len(table.overlay[name])} changes not committed yet")
    return f"  {name} [{entry.status}]: {'; '.join(parts)}"


def _history_row(store: ReleaseStore, generation: int) -> dict[str, Any]:
    try:
        table = _generation(store, generation)
    except Invalid as fault:
        return {"generation": generation, "kind": "incomplete", "reason": fault.what}
    return {"generation": generation, "createdAt": table.created_at, **table.as_document()["source"]}


def _generation(store: ReleaseStore, generation: int) -> RoutingTable:
    table = store.table(generation)
    if table is None:
        raise NotFound(f"there is no {table_name(generation)}", where=store.url, now="see `agentctl routes history`")
    return table


def _store() -> ReleaseStore:
    return ReleaseStore(open_objects(project_settings().releases))


def _short(value: Any) -> str:
    """A value for people: an entry by its version, a list by what is in it."""
    if isinstance(value, dict) and "version" in value:
        weight = f" (weight {value['weightBp'] / 100:g} %)" if "weightBp" in value else ""
        return f"{value['version']}{weight}"
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return "-" if value is None else str(value)

"""`agentctl breaker`: what executors leave alone for now, and an operator's word on it."""

from typing import Any, Literal

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.cli.subject import reason_option, workspace_here
from penstock.contracts.routing_table import RoutingTable
from penstock.executor.client import ExecutorClient
from penstock.store.objects import open_objects
from penstock.store.releases import ReleaseStore


@click.group(invoke_without_command=True)
@click.option("--server", metavar="URL", help="Ask this executor; default: what operators ordered, of the table.")
@json_option
@click.pass_context
def breaker(ctx: click.Context, server: str | None, as_json: bool) -> int:
    """Breakers of tools and models: `tools/NAME`, `models/NAME`. Without a command: shows them."""
    if ctx.invoked_subcommand is not None:
        if as_json or server is not None:
            raise click.UsageError(f"options come after {ctx.invoked_subcommand}")
        return 0
    if server is not None:
        rows = ExecutorClient(server).get("/v1/breakers")["breakers"]
        empty = "no tool and no model was called yet"
    else:
        rows, empty = _ordered(), "nobody ordered anything; --server URL shows what an executor counted"
    show({"breakers": rows}, "\n".join(map(_line, rows)) or empty, as_json=as_json)
    return 0


@breaker.command(name="open")
@click.argument("resource")
@reason_option()
@json_option
def open_(resource: str, reason: str, as_json: bool) -> int:
    """Lets no call of RESOURCE through in any executor, from now on and until `close`."""
    return _order(resource, "open", reason, as_json=as_json)


@breaker.command()
@click.argument("resource")
@reason_option()
@json_option
def close(resource: str, reason: str, as_json: bool) -> int:
    """Lets calls of RESOURCE through again, and has executors forget the failures that they counted."""
    return _order(resource, "closed", reason, as_json=as_json)


def _order(resource: str, state: Literal["open", "closed"], reason: str, *, as_json: bool) -> int:
    from penstock.release.breaker import order_breaker

    table = order_breaker(workspace_here(), resource, state, reason)
    order = table.breakers[resource].as_document()
    text = f"breaker of {resource} {state}: routing table {table.generation} is in force"
    show({"resource": resource, **order, "generation": table.generation}, text, as_json=as_json)
    return 0


def _ordered() -> list[dict[str, Any]]:
    table: RoutingTable | None = ReleaseStore(open_objects(project_settings().releases)).newest_table()
    orders = table.breakers if table is not None else {}
    return [
        {
            "resource": resource,
            "state": order.state,
            "why": order.reason,
            "since": order.at,
            "openedBy": order.actor if order.state == "open" else None,
        }
        for resource, order in sorted(orders.items())
    ]


def _line(row: dict[str, Any]) -> str:
    failures = f"{row.get('failuresInARow')} failures in a row"
    counted = f", {failures}" if row.get("failuresInARow") and row["why"] != failures else ""
    by = f" by {row['openedBy']}" if row["openedBy"] not in (None, "failures") else ""
    again = f", tried again in {row['retryInS']:g} s" if row.get("retryInS") is not None else ""
    why = f": {row['why']}" if row["why"] else ""
    return f"{row['resource']}: {row['state']}{by} since {row['since']}{why}{counted}{again}"

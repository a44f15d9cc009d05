"""The step that routes: it reads evidence and approvals again, moves the version, and logs who stands where."""

from typing import Any

import dagster as dg

from penstock.contracts.policy import Stage
from penstock.contracts.routing_table import AgentRoutes, Entry, RoutingTable
from penstock.errors import Refused
from penstock.orchestration.partitions import RELEASES, parse_key
from penstock.orchestration.release_path import ReleasePath, failing
from penstock.release.apply import promote_stage
from penstock.release.driver import apply_request
from penstock.release.workspace import Workspace

REQUEST_TAG = "penstock/request"
BOARD = dg.AssetKey("release_board")


def route_asset(stage: Stage) -> dg.AssetsDefinition:
    """Moves one release to `stage`: with `driver = ci` it only shows what the driver has done."""

    @dg.asset(
        name=f"{stage}_route",
        partitions_def=RELEASES,
        deps=[dg.AssetKey(f"{stage}_evidence")],
        group_name="release_path",
        kinds={"git"},
        pool="routes",
        description=f"The routing table's entry after the move to {stage}.",
    )
    def route(context: dg.AssetExecutionContext, path: ReleasePath) -> dg.MaterializeResult:  # type: ignore[type-arg]
        agent, version = parse_key(context.partition_key)
        with failing(), path.workspace() as workspace:
            table = moved_table(workspace, (agent, version, stage), context.run.tags.get(REQUEST_TAG))
        context.log_event(dg.AssetMaterialization(["env", stage, agent], metadata=standing(table, agent, stage)))
        context.log_event(dg.AssetMaterialization(BOARD, metadata=board(table)))
        return dg.MaterializeResult(metadata=standing(table, agent, stage))

    return route


def moved_table(workspace: Workspace, subject: tuple[str, str, Stage], request: str | None) -> RoutingTable:
    """The table in force after the move that the pipeline or a person's request asks for.

    Raises `dg.Failure` where a condition is unmet (never retried) or the environment failed.
    """
    if workspace.settings.driver == "dagster" and not stands(workspace, *subject):
        workspace.fetch()
        move(workspace, subject, request)
    table = workspace.releases.newest_table()
    if table is None:
        raise dg.Failure("there is no routing table yet: nothing was ever promoted", allow_retries=False)
    return table


def move(workspace: Workspace, subject: tuple[str, str, Stage], request: str | None) -> None:
    """Moves by the request, which is answered, or as the pipeline's automatic move; raises `Refused`."""
    if request is None:
        promote_stage(workspace, *subject, workspace.settings.bot_email)
        return
    asked = next((one for one in workspace.records.open_requests() if one.digest.endswith(request)), None)
    answer = apply_request(workspace, asked) if asked is not None else None
    if answer is not None and answer.outcome != "done":
        raise Refused(answer.reason, where=f"request {request}", now="`agentctl plan` shows what stands in the way")


def entries_at(routes: AgentRoutes, stage: Stage) -> list[Entry]:
    """What stands at one stage of an agent, the newest last."""
    if stage == "dev":
        return list(routes.dev)
    entry = routes.canary if stage == "canary" else routes.prod
    return [entry] if entry is not None else []


def stands(workspace: Workspace, agent: str, version: str, stage: Stage) -> bool:
    """Whether the table in force has the version at the stage already."""
    table = workspace.releases.newest_table()
    routes = table.agents.get(agent) if table is not None else None
    return routes is not None and any(entry.version == version for entry in entries_at(routes, stage))


def standing(table: RoutingTable, agent: str, stage: Stage) -> dict[str, Any]:
    """What one environment serves of one agent; each materialization of it is a line of its deployment history."""
    routes = table.agents[agent]
    entry = next(reversed(entries_at(routes, stage)), None)
    return {
        "version": entry.version if entry is not None else "none",
        "release": entry.release if entry is not None else "none",
        "runtime": entry.runtime if entry is not None else "none",
        "generation": table.generation,
        "weight percent": routes.canary.weight_bp / 100 if stage == "canary" and routes.canary is not None else 100.0,
        "commit": routes.commit or "none",
        "by": f"{table.source.kind} by {table.source.actor}",
    }


def board(table: RoutingTable) -> dict[str, Any]:
    """Who stands where, all agents."""
    rows = [
        dg.TableRecord(
            {
                "agent": agent,
                "status": routes.status,
                "prod": routes.prod.version if routes.prod else "",
                "canary": f"{routes.canary.version} {routes.canary.weight_bp / 100:g} %" if routes.canary else "",
                "dev": ", ".join(entry.version for entry in routes.dev),
                "previous": routes.previous.version if routes.previous else "",
                "hold": str(routes.hold.get("reason", "")) if routes.hold else "",
            }
        )
        for agent, routes in sorted(table.agents.items())
    ]
    return {
        "board": dg.MetadataValue.table(rows),
        "generation": table.generation,
        "agents": len(rows),
        "signature": "unsigned",
        "made": table.created_at,
    }

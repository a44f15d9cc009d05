"""Routes that say how the executor is and what it serves."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from penstock.contracts.routing_table import AgentRoutes
from penstock.executor.answer import JsonAnswer
from penstock.executor.executor import Executor
from penstock.executor.openapi import PROBLEMS


def state_routes(executor: Executor) -> APIRouter:
    """`/healthz`, `/readyz`, `/v1/routes`, `/v1/agents`, `/v1/limits` and `/v1/breakers`."""
    router = APIRouter(default_response_class=JsonAnswer)

    @router.get("/healthz", tags=["state"], summary="The process lives")
    async def healthz() -> Response:
        return JsonAnswer({"alive": True})

    @router.get("/readyz", tags=["state"], summary="Whether it can serve; the reasons if not", responses={503: {}})
    async def readyz() -> Response:
        state = executor.state()
        return JsonAnswer(state, 200 if state["ready"] else 503)

    @router.get("/v1/routes", tags=["state"], summary="The routing table in force", responses=PROBLEMS)
    async def routes() -> Response:
        table = executor.table.record.as_document()
        return JsonAnswer({**executor.state(), "table": table})

    @router.get("/v1/agents", tags=["state"], summary="Agents and where their versions stand", responses=PROBLEMS)
    async def agents() -> Response:
        table = executor.table.record
        rows = [_agent(name, table.agents[name]) for name in sorted(table.agents)]
        return JsonAnswer({"generation": table.generation, "agents": rows})

    @router.get("/v1/breakers", tags=["state"], summary="What is left alone for now, and why", responses=PROBLEMS)
    async def breakers() -> Response:
        return JsonAnswer({"breakers": executor.controls.breakers.as_documents()})

    @router.get("/v1/limits", tags=["state"], summary="The limits in force, and what is at work under them")
    async def limits() -> Response:
        return JsonAnswer((await executor.controls.admission.view()).as_document())

    return router


def _agent(name: str, routes: AgentRoutes) -> dict[str, Any]:
    standing = {"prod": routes.prod, "canary": routes.canary, "previous": routes.previous}
    return {
        "name": name,
        "status": routes.status,
        "stickyBy": routes.sticky_by,
        **{place: entry and entry.as_document() for place, entry in standing.items()},
        "dev": [entry.as_document() for entry in routes.dev],
        "draining": [entry.as_document() for entry in routes.draining],
    }

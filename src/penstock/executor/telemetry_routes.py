"""Routes of metrics and alerts."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from penstock.contracts.operations_alerts import Severity
from penstock.contracts.policy import Stage
from penstock.executor.answer import JsonAnswer
from penstock.executor.executor import Executor
from penstock.executor.openapi import PROBLEMS
from penstock.store.alerts import KEPT, AlertStore
from penstock.store.period import since as parse_since
from penstock.store.run_figures import RunFigures

Since = Annotated[str, Query(description="30m, 24h, 7d, or a moment (RFC 3339).")]


def telemetry_routes(executor: Executor) -> APIRouter:
    """`/metrics`, `/v1/metrics/summary` and `/v1/alerts`."""
    router = APIRouter(default_response_class=JsonAnswer)

    @router.get("/metrics", tags=["state"], summary="Metrics for Prometheus", response_class=PlainTextResponse,
                responses=PROBLEMS)  # fmt: skip
    async def metrics() -> Response:
        page, media_type = await run_in_threadpool(executor.telemetry.page)
        return Response(page, media_type=media_type)

    @router.get("/v1/metrics/summary", tags=["records"], summary="Figures of stored live runs", responses=PROBLEMS)
    async def summary(agent: str | None = None, stage: Stage | None = None, since: Since = "24h") -> Response:
        begun = parse_since(since, where="since")
        figures = RunFigures(executor.database.database)
        found = await run_in_threadpool(lambda: figures.summary(begun, agent=agent, stage=stage))
        return JsonAnswer({"since": begun, "agent": agent, "stage": stage, **found.as_document()})

    @router.get("/v1/alerts", tags=["records"], summary="The last alerts", responses=PROBLEMS)
    async def alerts(
        agent: str | None = None,
        severity: Severity | None = None,
        limit: Annotated[int, Query(ge=1, le=KEPT)] = 50,
    ) -> Response:
        store = AlertStore(executor.database.database)
        found = await run_in_threadpool(lambda: store.recent(agent=agent, severity=severity, limit=limit))
        return JsonAnswer({"alerts": found})

    return router

"""Routes of money: how budgets stand, and what runs cost."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from penstock.engine.budgets.overview import standings
from penstock.executor.answer import JsonAnswer
from penstock.executor.executor import Executor
from penstock.executor.openapi import PROBLEMS
from penstock.store.budgets import BudgetStore
from penstock.store.cost import CostStore, Dimension
from penstock.store.period import since as parse_since


def money_routes(executor: Executor) -> APIRouter:
    """`/v1/budgets` and `/v1/cost`."""
    router = APIRouter(prefix="/v1", responses=PROBLEMS, default_response_class=JsonAnswer)

    @router.get("/budgets", tags=["money"], summary="What may be spent today and this month, and what was")
    async def budgets() -> Response:
        return JsonAnswer({"budgets": await run_in_threadpool(_standings, executor)})

    @router.get("/cost", tags=["money"], summary="What live runs cost")
    async def cost(
        by: Dimension = "agent",
        since: Annotated[str, Query(description="30m, 24h, 7d, or a moment.")] = "7d",
        agent: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    ) -> Response:
        begun = parse_since(since, where="since")
        return JsonAnswer({"since": begun, **await run_in_threadpool(_cost, executor, by, begun, agent, limit)})

    return router


def _cost(executor: Executor, by: Dimension, since: str, agent: str | None, limit: int) -> dict[str, Any]:
    table = CostStore(executor.database.database).table(by, since, only={"agent": agent} if agent else None)
    return table.as_document(limit)


def _standings(executor: Executor) -> list[dict[str, Any]]:
    store = BudgetStore(executor.database.database)
    return [one.as_document() for one in standings(store, executor.operations.budgets, datetime.now(UTC).date())]

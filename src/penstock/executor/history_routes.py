"""`GET /v1/runs`: a tenant's own runs, a page at a time."""

import base64
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from penstock.errors import WrongUse
from penstock.executor.answer import JsonAnswer
from penstock.executor.executor import Executor
from penstock.executor.openapi import PROBLEMS
from penstock.executor.order import read_identity
from penstock.store.clock import moment

Status = Literal["running", "finished", "failed", "cancelled", "timed_out", "rejected"]


def history_routes(executor: Executor) -> APIRouter:
    """`/v1/runs`."""
    router = APIRouter(prefix="/v1", responses=PROBLEMS, default_response_class=JsonAnswer)

    @router.get("/runs", tags=["runs"], summary="A tenant's runs, newest first")
    async def runs(
        request: Request,
        *,
        agent: str | None = None,
        session: Annotated[str | None, Query(description="Runs of this session.")] = None,
        stage: Literal["dev", "canary", "prod"] | None = None,
        status: Annotated[Status | None, Query(description="running: those in flight at this executor.")] = None,
        since: Annotated[str | None, Query(description="The earliest start, RFC 3339.")] = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
        cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
        tenant: Annotated[str | None, Header(alias="X-Penstock-Tenant", description="Whose runs.")] = None,
    ) -> Response:
        own = read_identity(request.scope["headers"]).tenant
        if status == "running":
            return JsonAnswer({"runs": executor.runs.in_flight(own, agent, session)[:limit], "next": None})
        wanted = {"agent": agent, "session": session, "stage": stage, "status": status, "tenant": own or ""}
        return JsonAnswer(await run_in_threadpool(runs_page, executor.database.runs, wanted, since, limit, cursor))

    return router


def runs_page(
    store: Any, wanted: dict[str, str | None], since: str | None, limit: int, cursor: str | None
) -> dict[str, Any]:
    """At most `limit` stored runs and the cursor of those that follow; raises `WrongUse` for a bad time or cursor."""
    rows = store.runs(**wanted, since=_moment(since), before=read_cursor(cursor), limit=limit + 1)
    page = rows[:limit]
    follows = len(rows) > limit
    return {"runs": page, "next": _cursor(page[-1]) if follows else None}


def read_cursor(text: str | None) -> tuple[str, str] | None:
    """The place that a cursor names; raises `WrongUse` for what is none."""
    if text is None:
        return None
    try:
        started_at, run_id = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return moment(started_at), str(run_id)
    except (ValueError, TypeError):
        raise WrongUse("is no cursor", where="cursor", now="send `next` of the page before") from None


def _cursor(run: dict[str, Any]) -> str:
    place = orjson.dumps([run["startedAt"], run["runId"]])
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def _moment(text: str | None) -> str | None:
    try:
        return moment(text) if text is not None else None
    except ValueError:
        raise WrongUse(f"{text!r} is no time", where="since", now="such as 2026-11-20T10:00:00Z") from None

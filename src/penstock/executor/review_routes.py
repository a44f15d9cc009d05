"""Routes of reviews: what waits for a person, and what the person decides."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from penstock.executor.answer import JsonAnswer
from penstock.executor.body import ClientGone, read_body
from penstock.executor.executor import Executor
from penstock.executor.openapi import DECISION_BODY, PROBLEMS
from penstock.executor.order import read_identity
from penstock.executor.reviews import decide, read_decision, review_document
from penstock.store.reviews import ReviewStore

Tenant = Annotated[str | None, Header(alias="X-Penstock-Tenant", description="Whose runs.")]
User = Annotated[str | None, Header(alias="X-Penstock-User", description="Who decides; must be there.")]
State = Annotated[
    Literal["open", "approved", "rejected", "expired", "all"], Query(description="open: those that wait.")
]


def review_routes(executor: Executor) -> APIRouter:
    """`/v1/reviews` and `/v1/runs/{run_id}/decision`."""
    router = APIRouter(prefix="/v1", responses=PROBLEMS, default_response_class=JsonAnswer, tags=["reviews"])

    @router.get("/reviews", summary="A tenant's calls that wait for a person, the oldest first")
    async def reviews(
        request: Request,
        state: State = "open",
        agent: Annotated[str | None, Query(max_length=63)] = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
        tenant: Tenant = None,
    ) -> Response:
        store = ReviewStore(executor.database.database)
        wanted = {
            "tenant": read_identity(request.scope["headers"]).tenant or "",
            "agent": agent,
            "state": None if state == "all" else state,
        }
        found = await run_in_threadpool(lambda: store.reviews(limit=limit, **wanted))
        return JsonAnswer({"reviews": [review_document(one) for one in found]})

    @router.post(
        "/runs/{run_id}/decision", summary="A person's decision on a call that waits", openapi_extra=DECISION_BODY
    )
    async def decision(
        request: Request, run_id: Annotated[str, Path(max_length=64)], tenant: Tenant = None, user: User = None
    ) -> Response:
        with executor.in_flight():
            return await _decide(executor, request, run_id)

    return router


async def _decide(executor: Executor, request: Request, run_id: str) -> Response:
    headers = request.scope["headers"]
    identity = read_identity(headers)
    try:
        order = read_decision(await read_body(request.receive, headers))
    except ClientGone:
        return Response(status_code=400)  # nobody is there to read it
    database, release = executor.database.database, executor.watch.releases.release
    words = {"tenant": identity.tenant or "", "user": identity.user}
    review = await run_in_threadpool(lambda: decide(database, release, run_id, order, **words))
    executor.worker.wake()
    return JsonAnswer(review_document(review))

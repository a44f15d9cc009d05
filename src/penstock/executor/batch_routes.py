"""Routes of batches: many runs of one agent, accepted together and run when nobody else wants to."""

import hashlib
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from penstock.errors import NotFound
from penstock.executor.answer import JsonAnswer
from penstock.executor.batch import MAX_BYTES, MAX_LINES, MAX_S, read_lines
from penstock.executor.body import ClientGone, read_body
from penstock.executor.executor import Executor
from penstock.executor.idempotency import Wish, read_wish
from penstock.executor.jsonl_answer import JsonlAnswer
from penstock.executor.openapi import PROBLEMS
from penstock.executor.order import read_identity
from penstock.executor.problems import Refusal, draining
from penstock.store.batches import Batch, BatchLine, BatchStore

DESCRIPTION = f"At most {MAX_LINES} lines and {MAX_BYTES >> 20} MiB; a line is a run order or a bare input."
LINES: dict[str, Any] = {JsonlAnswer.media_type: {"schema": {"type": "string"}}}
BODY: dict[str, Any] = {"requestBody": {"required": True, "content": LINES}}

Tenant = Annotated[str | None, Header(alias="X-Penstock-Tenant", description="Whose batch it is.")]
User = Annotated[str | None, Header(alias="X-Penstock-User", description="The person behind the request.")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", description="The same batch with the same key is one.")]
BatchId = Annotated[str, Path(max_length=64)]


def batch_routes(executor: Executor) -> APIRouter:
    """`/v1/agents/{agent}/batches` and `/v1/batches`."""
    router = APIRouter(prefix="/v1", responses=PROBLEMS, default_response_class=JsonAnswer, tags=["batches"])

    @router.post(
        "/agents/{agent}/batches", status_code=202, summary="Queues a batch", description=DESCRIPTION,
        openapi_extra=BODY,
    )  # fmt: skip
    async def accept(
        request: Request, agent: str, tenant: Tenant = None, user: User = None, key: Key = None
    ) -> Response:
        with executor.in_flight():
            return await _accept(executor, request, agent)

    @router.get("/batches/{batch}", summary="How a batch stands")
    async def progress(request: Request, batch: BatchId, tenant: Tenant = None) -> Response:
        return JsonAnswer(_document(await _own(executor, request, batch)))

    @router.get("/batches/{batch}/results", summary="The lines of a batch and what became of them (application/jsonl)")
    async def results(request: Request, batch: BatchId, tenant: Tenant = None) -> Response:
        await _own(executor, request, batch)
        lines = BatchStore(executor.database.database).lines(batch)
        return await JsonlAnswer.of(map(line_document, lines))

    @router.post("/batches/{batch}/cancel", status_code=202, summary="Ends what has not ended of a batch")
    async def cancel(request: Request, batch: BatchId, tenant: Tenant = None) -> Response:
        await _own(executor, request, batch)
        count = await run_in_threadpool(BatchStore(executor.database.database).cancel, batch)
        return JsonAnswer({"batchId": batch, "cancel": "requested", "runs": count}, 202)

    return router


async def _accept(executor: Executor, request: Request, agent: str) -> Response:
    if executor.is_draining:
        raise Refusal(draining())
    headers = request.scope["headers"]
    identity = read_identity(headers)
    wish = read_wish(headers) or Wish(is_async=True, key=None)
    try:
        body = await read_body(request.receive, headers, max_bytes=MAX_BYTES, within_s=MAX_S)
    except ClientGone:
        return Response(status_code=400)  # nobody is there to read it
    key = wish.bound_to("batch", hashlib.sha256(body).hexdigest(), identity.user, identity.stage)
    batch = await executor.intake.bound_batch(agent, identity, key)
    if batch is None:
        lines = await read_lines(body, executor.intake, agent, identity)
        batch = await executor.intake.accept_batch(agent, identity, lines, key)
    found = await run_in_threadpool(BatchStore(executor.database.database).get, batch)
    url = f"/v1/batches/{batch}"
    answer = {"batchId": batch, "lines": found.lines if found else 0, "status": "queued", "url": url}
    return Response(orjson.dumps(answer), 202, {"location": url}, "application/json")


async def _own(executor: Executor, request: Request, batch: str) -> Batch:
    """The tenant's own batch; another's does not exist."""
    tenant = read_identity(request.scope["headers"]).tenant
    found = await run_in_threadpool(BatchStore(executor.database.database).get, batch)
    if found is None or found.tenant != tenant:
        raise NotFound("there is no such batch", where=f"batch {batch}", now="check the id and X-Penstock-Tenant")
    return found


def _document(batch: Batch) -> dict[str, Any]:
    url = f"/v1/batches/{batch.batch}"
    return {
        "batchId": batch.batch,
        "agent": batch.agent,
        "lines": batch.lines,
        "status": "done" if batch.is_done else "running",
        "cancelled": batch.cancelled,
        "acceptedAt": batch.created_at,
        "counts": batch.counts,
        "url": url,
        "results": f"{url}/results",
    }


def line_document(line: BatchLine) -> dict[str, Any]:
    """A line of a batch and what became of it."""
    run = line.run or {}
    return {
        "line": line.row.line,
        "runId": line.row.run_id,
        "status": run.get("status") or line.row.status,
        "output": line.output,
        "error": run.get("error") or line.row.error,
        "usage": run.get("usage"),
    }

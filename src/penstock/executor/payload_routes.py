"""Routes of payloads: what is too large to travel inside of a run's order, its events or its record."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from penstock.executor.answer import JsonAnswer
from penstock.executor.body import ClientGone, read_body
from penstock.executor.executor import Executor
from penstock.executor.openapi import PROBLEMS
from penstock.executor.order import read_identity

MAX_UPLOAD_BYTES = 4 << 20
"""About what the largest contexts of models hold."""
MAX_UPLOAD_S = 30.0
Tenant = Annotated[str | None, Header(alias="X-Penstock-Tenant", description="Whose payload it is.")]
BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}}


def payload_routes(executor: Executor) -> APIRouter:
    """`/v1/payloads`."""
    router = APIRouter(prefix="/v1", responses=PROBLEMS, default_response_class=JsonAnswer)

    @router.post(
        "/payloads", tags=["payloads"], status_code=201, summary="Leaves the input of runs to come", openapi_extra=BODY
    )
    async def put(request: Request, tenant: Tenant = None) -> Response:
        with executor.in_flight():
            return await _put(executor, request)

    @router.get("/payloads/{ref_id}", tags=["payloads"], summary="A payload by its contextRefId or resultRefId")
    async def get(request: Request, ref_id: Annotated[str, Path(max_length=160)], tenant: Tenant = None) -> Response:
        identity = read_identity(request.scope["headers"])
        data = await run_in_threadpool(executor.payloads.read, ref_id, identity.tenant)
        return Response(data, media_type="application/json", headers={"x-content-type-options": "nosniff"})

    return router


async def _put(executor: Executor, request: Request) -> Response:
    headers = request.scope["headers"]
    tenant = read_identity(headers).tenant
    try:
        body = await read_body(request.receive, headers, max_bytes=MAX_UPLOAD_BYTES, within_s=MAX_UPLOAD_S)
    except ClientGone:
        return Response(status_code=400)  # nobody is there to read it
    claim = await run_in_threadpool(executor.payloads.put, body, tenant)
    document = {"contextRefId": claim.ref_id, "digest": claim.digest, "bytes": claim.size_bytes}
    return JsonAnswer(document, 201, headers={"location": f"/v1/payloads/{claim.ref_id}"})

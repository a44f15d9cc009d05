"""Routes of what was released: the catalog and the reports."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from penstock.contracts.document import NAME_PATTERN, VERSION_PATTERN
from penstock.errors import NotFound
from penstock.executor.answer import JsonAnswer
from penstock.executor.executor import Executor
from penstock.executor.openapi import PROBLEMS
from penstock.reporting.content_policy import CLOSED, policy_to_serve
from penstock.store.catalog import Catalog
from penstock.store.releases import ReleaseStore

# What a report quotes was written by a model: a browser takes no file but report.html for a page, keeps that one in
# an origin of its own, and runs nothing in it but its own script.
MEDIA = {
    "report.html": "text/html; charset=utf-8",
    "report.json": "application/json",
    "junit.xml": "application/xml",
    "note.md": "text/plain; charset=utf-8",
}


def record_routes(executor: Executor) -> APIRouter:
    """`/v1/catalog` and `/v1/reports`."""
    router = APIRouter(prefix="/v1", responses=PROBLEMS, default_response_class=JsonAnswer)

    @router.get("/catalog", tags=["records"], summary="Everything that is on the base branch")
    async def catalog(
        kind: str | None = None,
        owner: str | None = None,
        stage: str | None = None,
        status: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100_000)] = 10_000,
    ) -> Response:
        rows = await run_in_threadpool(
            lambda: Catalog(executor.database.database).rows(
                kind=kind, owner=owner, stage=stage, status=status, limit=limit
            )
        )
        return JsonAnswer({"entries": [row.as_document() for row in rows]})

    @router.get("/reports/{agent}/{version}/{evidence}/{file}", tags=["records"], summary="A file of a release report")
    async def report(
        agent: Annotated[str, Path(pattern=NAME_PATTERN)],
        version: Annotated[str, Path(pattern=VERSION_PATTERN)],
        evidence: Annotated[str, Path(pattern=r"^(sha256:)?[0-9a-f]{64}$", description="The evidence's digest.")],
        file: Annotated[str, Path(description="report.html, report.json, junit.xml or note.md")],
    ) -> Response:
        if file not in MEDIA:
            raise NotFound(f"no report file {file!r}", where="reports", now=f"files are: {', '.join(MEDIA)}")
        data = await run_in_threadpool(_read_report, executor.reports, f"{agent}@{version}", evidence, file)
        return Response(data, media_type=MEDIA[file], headers=_headers(file, data))

    return router


def _headers(file: str, data: bytes) -> dict[str, str]:
    """What keeps a browser from doing more with the file than showing it."""
    return {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "content-security-policy": policy_to_serve(data) if file == "report.html" else CLOSED,
    }


def _read_report(store: ReleaseStore, reference: str, evidence: str, file: str) -> bytes:
    digest = f"sha256:{evidence.removeprefix('sha256:')}"
    release = store.get_release(store.get_evidence(digest).release)
    if f"{release.name}@{release.version}" != reference:
        raise NotFound(f"the evidence is not on {reference}", where=digest, now="check agent, version and evidence")
    return store.get_report(digest, file)

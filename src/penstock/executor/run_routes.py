"""Routes of runs and sessions, the start of a run apart."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from penstock.errors import WrongUse
from penstock.executor.answer import JsonAnswer
from penstock.executor.body import ClientGone, read_body
from penstock.executor.executor import Executor
from penstock.executor.feedback import keep_feedback, read_feedback
from penstock.executor.openapi import FEEDBACK_BODY, PROBLEMS
from penstock.executor.order import read_identity
from penstock.executor.run_reader import Event
from penstock.executor.session_reader import session_document
from penstock.executor.sse import EventStream

Tenant = Annotated[str | None, Header(alias="X-Penstock-Tenant", description="Whose run or session it is.")]
Output = Annotated[
    Literal["inline", "reference"], Query(description="reference: an output that has a resultRefId is left out.")
]
User = Annotated[str | None, Header(alias="X-Penstock-User", description="Who says it: the newest word counts.")]


def run_routes(executor: Executor) -> APIRouter:
    """`/v1/runs` and `/v1/sessions`."""
    router = APIRouter(prefix="/v1", responses=PROBLEMS, default_response_class=JsonAnswer)

    @router.get("/runs/{run_id}", tags=["runs"], summary="A run: running, or its result")
    async def run(request: Request, run_id: str, tenant: Tenant = None, output: Output = "inline") -> Response:
        return JsonAnswer(await executor.runs.document(run_id, _tenant(request), whole=output == "inline"))

    @router.get("/runs/{run_id}/events", tags=["runs"], summary="A run's events (text/event-stream)")
    async def events(
        request: Request,
        run_id: str,
        tenant: Tenant = None,
        last_event_id: Annotated[str, Header(alias="Last-Event-ID", description="The seq to go on after.")] = "0",
    ) -> Response:
        after_seq = _after(last_event_id)
        return _Events(await executor.runs.events(run_id, _tenant(request), after_seq))

    @router.post("/runs/{run_id}/cancel", tags=["runs"], status_code=202, summary="Ends a run as cancelled")
    async def cancel(request: Request, run_id: str, tenant: Tenant = None) -> Response:
        await executor.runs.cancel(run_id, _tenant(request))
        return JsonAnswer({"runId": run_id, "cancel": "requested"}, 202)

    @router.post(
        "/runs/{run_id}/feedback", tags=["runs"], summary="A user's word on a live run", openapi_extra=FEEDBACK_BODY
    )
    async def feedback(request: Request, run_id: str, tenant: Tenant = None, user: User = None) -> Response:
        with executor.in_flight():
            return await _feedback(executor, request, run_id)

    @router.get("/sessions/{session_id}", tags=["sessions"], summary="A session's history, agent by agent")
    async def session(request: Request, session_id: str, tenant: Tenant = None) -> Response:
        database = executor.database.database
        return JsonAnswer(await run_in_threadpool(session_document, database, session_id, _tenant(request)))

    return router


async def _feedback(executor: Executor, request: Request, run_id: str) -> Response:
    headers = request.scope["headers"]
    identity = read_identity(headers)
    try:
        order = read_feedback(await read_body(request.receive, headers))
    except ClientGone:
        return Response(status_code=400)  # nobody is there to read it
    run = await executor.runs.document(run_id, identity.tenant)
    database = executor.database.database
    return JsonAnswer(await run_in_threadpool(keep_feedback, database, run, order, identity.user))


class _Events(Response):
    """A stream of events; whoever reads it does not own the run."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        super().__init__()
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events until the last one, or until the client is gone."""
        await EventStream(receive, send).run(self._events)


def _tenant(request: Request) -> str | None:
    return read_identity(request.scope["headers"]).tenant


def _after(last_event_id: str) -> int:
    if not last_event_id.isascii() or not last_event_id.isdigit():
        raise WrongUse(f"{last_event_id!r} is no seq", where="Last-Event-ID", now="send the id of an event")
    return int(last_event_id)

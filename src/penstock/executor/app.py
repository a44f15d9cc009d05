"""The app: FastAPI for everything but the run route, which is plain ASGI before it."""

import logging
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from penstock import __version__
from penstock.errors import Fault, Invalid, PenstockError
from penstock.executor.batch_routes import batch_routes
from penstock.executor.executor import Executor
from penstock.executor.history_routes import history_routes
from penstock.executor.loopback import LoopbackOnly
from penstock.executor.money_routes import money_routes
from penstock.executor.openapi import describe
from penstock.executor.payload_routes import payload_routes
from penstock.executor.problems import Problem, internal, problem_of
from penstock.executor.record_routes import record_routes
from penstock.executor.review_routes import review_routes
from penstock.executor.run_route import RunRoute
from penstock.executor.run_routes import run_routes
from penstock.executor.state_routes import state_routes
from penstock.executor.telemetry_routes import telemetry_routes

LOG = logging.getLogger("penstock.executor")
RUN_PATH = "/v1/agents/{agent}/runs"
_RUN = re.compile(RUN_PATH.replace("{agent}", "([^/]+)"))
_HTTP_SLUGS = {404: "not-found", 405: "method-not-allowed"}


def build_app(executor: Executor) -> ASGIApp:
    """The executor's whole HTTP interface; documentation pages are left out, they would load scripts from elsewhere."""
    app = FastAPI(title="Penstock executor", version=__version__, docs_url=None, redoc_url=None)
    runs = RunRoute(executor)
    app.router.routes.insert(0, Route(RUN_PATH, runs, methods=["POST"], include_in_schema=False))  # for OPTIONS and 405
    for routes in (
        *(history_routes, run_routes, batch_routes, state_routes, record_routes),
        *(payload_routes, money_routes, telemetry_routes, review_routes),
    ):
        app.include_router(routes(executor))
    app.add_exception_handler(PenstockError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _broken)
    describe(app, RUN_PATH)
    return LoopbackOnly(RunsFirst(runs, app))


class RunsFirst:
    """Sends run requests straight to their route: the layers around FastAPI's routes are paid for by each of them."""

    def __init__(self, runs: RunRoute, others: ASGIApp) -> None:
        self._runs = runs
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] == "http" and scope["method"] == "POST":
            found = _RUN.fullmatch(scope["path"])
            if found is not None:
                scope["path_params"] = {"agent": found[1]}
                await self._runs(scope, receive, send)
                return
        await self._others(scope, receive, send)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, PenstockError)
    return problem_of(error).response()


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [_fault(fault) for fault in error.errors()]
    what = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
    return problem_of(Invalid(what, where="request", now="mend them all", faults=faults)).response()


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    slug = _HTTP_SLUGS.get(error.status_code, "error")
    what = f"{request.method} {request.url.path}: {error.detail}"
    return Problem(error.status_code, slug, what, now="/openapi.json lists every route").response()


async def _broken(request: Request, error: Exception) -> Response:
    LOG.error("%s %s", request.method, request.url.path, exc_info=error)
    return internal().response()


def _fault(fault: dict[str, Any]) -> Fault:
    place, *pointer = [str(part) for part in fault["loc"]]
    return Fault(place, 0, 0, ".".join(pointer), str(fault["msg"]))

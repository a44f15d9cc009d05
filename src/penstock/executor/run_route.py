"""`POST /v1/agents/{agent}/runs`: the one route that is paid for by every run, so plain ASGI and nothing between."""

import logging

from starlette.types import Receive, Scope, Send

from penstock.engine.engine import RunHandle
from penstock.engine.lease import Postponed
from penstock.engine.trace_context import parent_of
from penstock.errors import PenstockError
from penstock.executor.answer import send_json, send_problem
from penstock.executor.async_route import AsyncRoute, traced
from penstock.executor.body import ClientGone, read_body
from penstock.executor.executor import Executor
from penstock.executor.idempotency import read_wish
from penstock.executor.intake import Asked
from penstock.executor.order import read_identity, read_order, wants_cache
from penstock.executor.problems import Refusal, draining, internal, problem_of, problem_of_run
from penstock.executor.protocol import client_gone
from penstock.executor.sse import EventStream
from penstock.store.queue_lease import LeaseLost

LOG = logging.getLogger("penstock.executor")
CLIENT_GONE = "the client closed the connection"
_TRUE = frozenset({b"stream=true", b"stream=1"})


class RunRoute:
    """Starts a run and answers with its result, or with its events as they come (`?stream=true`).

    A client that goes away cancels its run.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._accepting = AsyncRoute(executor)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        with self._executor.in_flight():
            try:
                handle = await self._start(scope, receive, send)
                if handle is not None and not _wants_stream(scope):
                    await self._answer(handle, scope, send)
            except ClientGone:
                return
            except PenstockError as error:
                await send_problem(send, problem_of(error))
                return
            except Exception:
                LOG.exception("a run request could not be answered")
                await send_problem(send, internal())
                return
            if handle is not None and _wants_stream(scope):
                await EventStream(receive, send, lambda: _cancel(handle)).run(handle.events(), [traced(handle)])

    async def _start(self, scope: Scope, receive: Receive, send: Send) -> RunHandle | None:
        """The run; None where it was accepted first, and answered."""
        if self._executor.is_draining:
            raise Refusal(draining())
        headers = scope["headers"]
        identity = read_identity(headers)
        wish = read_wish(headers)
        written = read_order(await read_body(receive, headers), uses_cache=wants_cache(headers))
        order = await self._executor.with_input(written, identity)
        agent, stream, parent = scope["path_params"]["agent"], _wants_stream(scope), parent_of(headers)
        if wish is not None:
            asked = Asked(agent, identity, order, wish, parent)
            await self._accepting.answer(receive, send, asked, stream=stream)
            return None
        return await self._executor.submit(agent, identity, order, stream, parent)

    async def _answer(self, handle: RunHandle, scope: Scope, send: Send) -> None:
        with client_gone(scope, lambda: _cancel(handle)):
            try:
                result = await handle.result()
            except (Postponed, LeaseLost) as later:
                await self._accepting.goes_on_later(send, handle.run_id, later)
                return
            except PenstockError as error:
                await send_problem(send, problem_of(error), traced(handle))
                return
        document = result.as_document()
        if result.status == "finished":
            await send_json(send, document, traced(handle), close=self._executor.is_draining)
        else:
            await send_problem(send, problem_of_run(document), traced(handle))


def _cancel(handle: RunHandle) -> None:
    handle.cancel(CLIENT_GONE)


def _wants_stream(scope: Scope) -> bool:
    query: bytes = scope["query_string"]
    return bool(query) and not _TRUE.isdisjoint(query.split(b"&"))

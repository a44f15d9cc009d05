"""`POST /v1/agents/{agent}/runs` with `Prefer: respond-async` or `Idempotency-Key`: accepted first, then run."""

from typing import Any

from starlette.types import Receive, Send

from penstock.engine.engine import RunHandle
from penstock.engine.lease import Postponed
from penstock.executor.answer import Header, send_json, send_problem
from penstock.executor.executor import Executor
from penstock.executor.intake import Asked
from penstock.executor.problems import problem_of_run
from penstock.executor.queued_reader import OPEN, QUEUED, REVIEW
from penstock.executor.sse import EventStream
from penstock.store.queue_lease import LeaseLost

APPLIED = (b"preference-applied", b"respond-async")
UNTOLD = frozenset({"team", "tenant", "user", "routedBy", "startedAt", "finishedAt", "feedback", "models"})
"""What a stored run knows and its first answer did not say."""


class AsyncRoute:
    """Answers run requests that are accepted before they are run.

    An asynchronous one is answered once it is stored. One that waits is run under its key: a client that goes away
    leaves it alone, and asks with the same key for what became of it.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def answer(self, receive: Receive, send: Send, asked: Asked, *, stream: bool) -> None:
        """Answers one request; raises whatever stands against it."""
        if asked.wish.is_async:
            run_id = await self._executor.intake.accept(asked)
            await self._accepted(send, run_id, QUEUED, applied=True)
            return
        run_id, handle = await self._executor.intake.accept_awaited(asked, stream=stream)
        if handle is not None and stream:
            await EventStream(receive, send).run(handle.events(), [traced(handle)])
        elif handle is not None:
            await self._result(send, handle)
        else:
            await self._known(receive, send, run_id, asked.identity.tenant, stream=stream)

    async def _result(self, send: Send, handle: RunHandle) -> None:
        try:
            result = (await handle.result()).as_document()
        except (Postponed, LeaseLost) as later:
            await self.goes_on_later(send, handle.run_id, later)
            return
        await self._ended(send, result, traced(handle))

    async def goes_on_later(self, send: Send, run_id: str, why: Postponed | LeaseLost) -> None:
        """The answer where a run that its caller waits for has not ended: where its end will be."""
        is_review = isinstance(why, Postponed) and why.awaits_review
        await self._accepted(send, run_id, REVIEW if is_review else QUEUED, applied=False)

    async def _known(self, receive: Receive, send: Send, run_id: str, tenant: str | None, *, stream: bool) -> None:
        """The answer to a request that came before: the same once there is one, until then where it will be."""
        run = await self._executor.runs.document(run_id, tenant)
        if run["status"] in OPEN:
            await self._accepted(send, run_id, run["status"], applied=False)
        elif stream:
            await EventStream(receive, send).run(await self._executor.runs.events(run_id, tenant, 0))
        else:
            await self._ended(send, {name: value for name, value in run.items() if name not in UNTOLD})

    async def _ended(self, send: Send, result: dict[str, Any], *more: Header) -> None:
        if result["status"] == "finished":
            await send_json(send, result, *more, close=self._executor.is_draining)
        else:
            await send_problem(send, problem_of_run(result), *more)

    async def _accepted(self, send: Send, run_id: str, status: str, *, applied: bool) -> None:
        url = f"/v1/runs/{run_id}"
        more = [(b"location", url.encode()), *([APPLIED] if applied else [])]
        await send_json(send, {"runId": run_id, "status": status, "url": url}, *more, status=202)


def traced(handle: RunHandle) -> Header:
    """The header that names the run's span."""
    return b"traceparent", handle.traceparent.encode()

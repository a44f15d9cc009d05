"""ToolAttempts: one call of one tool. Its breaker, its time limit, and again after network faults where it is safe."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from penstock.engine.compiled import CompiledTool
from penstock.engine.controls import Breakers, Permit
from penstock.engine.failure import RunOver
from penstock.engine.patience import Patience
from penstock.engine.run import Run
from penstock.engine.scope import CallOverdue, CallVanished
from penstock.engine.shape import places
from penstock.engine.tool_refusal import ToolRefusal
from penstock.errors import BreakerOpen
from penstock.pal import ToolFailed, ToolInvocation, ToolRunner


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A call that is to be made. `before` is done before its first attempt; `spans` are those of its events."""

    tool: CompiledTool
    invocation: ToolInvocation
    before: Callable[[], Awaitable[None]]
    spans: tuple[str, str]


class ToolAttempts:
    """The attempts of one call; used once. A call is made again only if that can do no harm."""

    def __init__(self, run: Run, runner: ToolRunner, breakers: Breakers, call: LiveCall) -> None:
        self._run = run
        self._runner = runner
        self._breakers = breakers
        self._call = call
        self._failed: ToolFailed | None = None

    async def result(self) -> Any:
        """The result, which fits the tool's output schema; raises `ToolRefusal`."""
        ref, deadline = self._call.tool.component.ref, self._call.invocation.deadline
        overdue = f"{ref} did not answer within {self._call.tool.spec.timeout_ms} ms"
        try:
            return await self._result()
        except BreakerOpen as error:
            raise ToolRefusal("breaker-open", error.what, f"Error: {ref} is not called for now.") from None
        except (CallOverdue, TimeoutError):
            self._run.check(self._run.out_of_time())
            raise ToolRefusal("timeout", overdue) from None
        except CallVanished:
            raise ToolRefusal("failed", f"{ref} cancelled itself") from None
        except ToolFailed as error:
            self._run.check(self._run.out_of_time())
            if time.monotonic() >= deadline:
                raise ToolRefusal("timeout", overdue) from None
            raise ToolRefusal("failed", f"{ref} failed", f"Error: {error.what}") from None
        except (RunOver, ToolRefusal, asyncio.CancelledError):
            raise
        except Exception as error:
            fact = f"{ref} raised {type(error).__name__}"
            raise ToolRefusal("failed", fact, f"Error: {fact}: {error}") from error

    async def _result(self) -> Any:
        permit = self._permit()
        try:
            await self._call.before()
        except BaseException:
            permit.given_up()
            raise
        try:
            return await self._attempt(permit)
        except ToolFailed as error:
            spec = self._call.tool.spec
            if not error.retryable or (spec.side_effects == "write" and not spec.idempotent):
                raise
            self._failed = error
            patience = Patience(self._call.invocation.deadline, self._retried)
            return await self._run.scope.run(patience.again(error, self._once_more))

    async def _once_more(self) -> Any:
        try:
            permit = self._permit()
        except BreakerOpen:  # the call was made already: what it failed of is the answer, not that it was not made
            assert self._failed is not None
            raise ToolFailed(self._failed.what, where=self._failed.where, now=self._failed.now) from None
        return await self._attempt(permit)

    async def _attempt(self, permit: Permit) -> Any:
        """One attempt, which the breaker hears the end of."""
        tool, invocation = self._call.tool, self._call.invocation
        left_s = max(0.0, invocation.deadline - time.monotonic())
        try:
            result = await self._run.scope.run(self._runner.run(tool.component, invocation), left_s)
        except (RunOver, asyncio.CancelledError):
            permit.given_up()
            raise
        except BaseException as error:
            self._tell(permit, error)
            raise
        if not tool.output.fits(result):
            permit.failed()
            fact = f"the result of {tool.component.ref} breaks its schema: {places(tool.output.faults(result))}"
            raise ToolRefusal("result", fact, f"Error: {fact}")
        permit.succeeded()
        return result

    def _tell(self, permit: Permit, error: BaseException) -> None:
        """What an attempt that ended so says of the tool: nothing, where it was the run that had no time left."""
        if self._run.out_of_time() is not None or (isinstance(error, ToolFailed) and error.request_at_fault):
            permit.given_up()
        else:
            permit.failed()

    def _permit(self) -> Permit:
        resource = f"tools/{self._call.tool.name}"
        return self._breakers.permit(resource, lambda change, why: self._run.told_by_breaker(change, why, resource))

    def _retried(self, attempt: int, wait_s: float, _: str) -> None:
        """Puts the wait on record; what the tool said may quote its arguments, and is left out."""
        data = {
            "tool": self._call.tool.name,
            "version": self._call.tool.version,
            "callId": self._call.invocation.call_id,
            "attempt": attempt,
            "waitS": wait_s,
        }
        self._run.log.emit("tool.retried", data, *self._call.spans)

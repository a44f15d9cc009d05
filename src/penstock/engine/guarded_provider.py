"""GuardedProvider: a model provider behind the breaker of one deployment."""

import time

from penstock.engine.controls import Breakers
from penstock.engine.run import Run
from penstock.errors import BreakerOpen
from penstock.pal import ModelAnswer, ModelCall, ModelFailed, ModelProvider

PATIENCE_S = 5.0
"""A call that its run's time limit ended sooner says nothing of the deployment, seconds."""


class GuardedProvider:
    """Asks only while the breaker of `resource` (`models/<name>`) lets it; each attempt counts.

    A deployment that hangs is seen by nothing but the time limits of the runs that wait for it: a call that used up
    most of its run's time counts as failed, all others that their run ends count as neither good nor bad.
    """

    def __init__(self, provider: ModelProvider, breakers: Breakers, resource: str, run: Run) -> None:
        self._provider = provider
        self._breakers = breakers
        self._resource = resource
        self._run = run

    async def complete(self, call: ModelCall) -> ModelAnswer:
        """The answer; raises `ModelFailed`, also when the breaker is open."""
        try:
            permit = self._breakers.permit(self._resource, self._told)
        except BreakerOpen as refusal:
            raise ModelFailed(refusal.what, where=call.ref, now=refusal.now) from None
        begun = time.monotonic()
        try:
            answer = await self._provider.complete(call)
        except ModelFailed as error:
            if error.request_at_fault:
                permit.given_up()
            else:
                permit.failed()
            raise
        except BaseException:
            if self._used_up_the_time(begun):
                permit.failed()
            else:
                permit.given_up()
            raise
        permit.succeeded()
        return answer

    def _used_up_the_time(self, begun: float) -> bool:
        run, at = self._run, time.monotonic()
        waited_s = at - begun
        return at >= run.deadline and waited_s >= PATIENCE_S and waited_s >= (run.deadline - run.started) / 2

    def _told(self, change: str, why: str) -> None:
        self._run.told_by_breaker(change, why, self._resource)

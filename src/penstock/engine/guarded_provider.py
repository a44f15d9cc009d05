"""GuardedProvider: a model provider behind the breaker of one deployment."""

import asyncio

from penstock.engine.controls import Breakers
from penstock.engine.run import Run
from penstock.pal import ModelAnswer, ModelCall, ModelFailed, ModelProvider


class GuardedProvider:
    """Asks only while the breaker of `resource` (`models/<name>`) lets it; each attempt counts."""

    def __init__(self, provider: ModelProvider, breakers: Breakers, resource: str, run: Run) -> None:
        self._provider = provider
        self._breakers = breakers
        self._resource = resource
        self._run = run

    async def complete(self, call: ModelCall) -> ModelAnswer:
        """The answer; raises `ModelFailed`, also when the breaker is open."""
        permit = self._breakers.permit(self._resource, self._told)
        try:
            answer = await self._provider.complete(call)
        except ModelFailed:
            permit.failed()
            raise
        except (Exception, asyncio.CancelledError):
            permit.given_up()
            raise
        permit.succeeded()
        return answer

    def _told(self, change: str, why: str) -> None:
        self._run.told_by_breaker(change, why, self._resource)

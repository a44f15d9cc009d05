"""Asking a model again: only what a moment later may go well (network faults, rate limits, an overloaded provider)."""

import time
from dataclasses import replace

from penstock.engine.patience import Patience, Retried
from penstock.pal import ModelAnswer, ModelCall, ModelFailed, ModelProvider


class PatientAsking:
    """One model call with its retries, until `deadline` (monotonic seconds) at the latest.

    An answer of which text was streamed already is never asked for again: its listeners would hear it twice.
    """

    def __init__(self, provider: ModelProvider, call: ModelCall, deadline: float, retried: Retried) -> None:
        self._provider = provider
        self._call = replace(call, on_delta=self._heard) if call.on_delta is not None else call
        self._on_delta = call.on_delta
        self._deadline = deadline
        self._patience = Patience(deadline, retried)

    async def answer(self) -> ModelAnswer:
        """The answer; raises the last `ModelFailed`. A cancel ends it at once, in a call or between two."""
        try:
            return await self._provider.complete(self._call)
        except ModelFailed as error:
            if not error.retryable:
                raise
            return await self._patience.again(error, self._once_more)

    async def _once_more(self) -> ModelAnswer:
        left_s = max(0.001, self._deadline - time.monotonic())
        return await self._provider.complete(replace(self._call, timeout_s=min(left_s, self._call.timeout_s)))

    def _heard(self, text: str) -> None:
        if text:
            self._patience.ends = True
        assert self._on_delta is not None
        self._on_delta(text)

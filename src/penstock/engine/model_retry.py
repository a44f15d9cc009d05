"""Asking a model again: only what a moment later may go well (network faults, rate limits, an overloaded provider)."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from penstock.pal import ModelAnswer, ModelCall, ModelFailed, ModelProvider

ATTEMPTS = 4
"""How often one call is made at most, the first included."""
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
"""A provider that asks for more patience than this has run out of quota: that is no matter of a moment."""

Retried = Callable[[int, float, str], object]
"""Hears of each wait before it: the attempt that failed (from 1), seconds, the provider's reason."""


class PatientAsking:
    """One model call with its retries, until `deadline` (monotonic seconds) at the latest.

    An answer of which text was streamed already is never asked for again: its listeners would hear it twice.
    """

    def __init__(self, provider: ModelProvider, call: ModelCall, deadline: float, retried: Retried) -> None:
        self._provider = provider
        self._call = replace(call, on_delta=self._heard) if call.on_delta is not None else call
        self._on_delta = call.on_delta
        self._deadline = deadline
        self._retried = retried
        self._attempt = 1
        self._streamed = False

    async def answer(self) -> ModelAnswer:
        """The answer; raises the last `ModelFailed`. A cancel ends it at once, in a call or between two."""
        try:
            return await self._provider.complete(self._call)
        except ModelFailed as error:
            if not error.retryable:
                raise
            return await self._again(error)

    async def _again(self, failed: ModelFailed) -> ModelAnswer:
        first: ModelFailed | None = failed
        async for attempt in quiet_stamina().retry_context(on=self._wait_s, attempts=ATTEMPTS, timeout=None):
            with attempt:
                if first is not None:
                    error, first = first, None
                    raise error
                self._attempt += 1
                left_s = max(0.001, self._deadline - time.monotonic())
                return await self._provider.complete(replace(self._call, timeout_s=min(left_s, self._call.timeout_s)))
        raise AssertionError("stamina ends with an answer or raises")

    def _wait_s(self, error: Exception) -> bool | float:
        """Seconds until the next attempt; False = none follows."""
        if not isinstance(error, ModelFailed) or not error.retryable:
            return False
        if self._attempt >= ATTEMPTS or self._streamed:
            return False
        wait_s = FIRST_WAIT_S * 2.0 ** (self._attempt - 1) + random.uniform(0, FIRST_WAIT_S)
        if error.retry_after_s is not None:  # at least what was asked for, and not all callers in the same instant
            wait_s = max(wait_s, error.retry_after_s + random.uniform(0, FIRST_WAIT_S))
        if wait_s > LONGEST_WAIT_S or time.monotonic() + wait_s >= self._deadline:
            return False
        self._retried(self._attempt, round(wait_s, 3), error.what)
        return wait_s

    def _heard(self, text: str) -> None:
        self._streamed = self._streamed or bool(text)
        assert self._on_delta is not None
        self._on_delta(text)


def quiet_stamina() -> Any:
    """Stamina, without the loggers that it finds by itself: the platform's record is the event."""
    import stamina

    stamina.instrumentation.set_on_retry_hooks(())
    return stamina

"""Patience: when something is asked again that a moment later may go well, and how long to wait before it."""

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from penstock.pal import CallFailed

ATTEMPTS = 4
"""How often one call is made at most, the first included."""
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
"""A far side that asks for more patience than this has run out of quota: that is no matter of a moment."""

Retried = Callable[[int, float, str], object]
"""Hears of each wait before it: the attempt that failed (from 1), seconds, and why."""
T = TypeVar("T")


class Patience:
    """The attempts of one call after its first, until `deadline` (monotonic seconds) at the latest.

    `ends` forbids any further attempt.
    """

    def __init__(self, deadline: float, retried: Retried) -> None:
        self._deadline = deadline
        self._retried = retried
        self._attempt = 1
        self.ends = False

    async def again(self, failed: CallFailed, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` gives at last, after a first attempt that `failed`; raises the last failure."""
        first: CallFailed | None = failed
        async for attempt in quiet_stamina().retry_context(on=self._wait_s, attempts=ATTEMPTS, timeout=None):
            with attempt:
                if first is not None:
                    error, first = first, None
                    raise error
                self._attempt += 1
                return await ask()
        raise AssertionError("stamina ends with an answer or raises")

    def _wait_s(self, error: Exception) -> bool | float:
        """Seconds until the next attempt; False = none follows."""
        if not isinstance(error, CallFailed) or not error.retryable:
            return False
        if self._attempt >= ATTEMPTS or self.ends:
            return False
        wait_s = FIRST_WAIT_S * 2.0 ** (self._attempt - 1) + random.uniform(0, FIRST_WAIT_S)
        if error.retry_after_s is not None:  # at least what was asked for, and not all callers in the same instant
            wait_s = max(wait_s, error.retry_after_s + random.uniform(0, FIRST_WAIT_S))
        if wait_s > LONGEST_WAIT_S or time.monotonic() + wait_s >= self._deadline:
            return False
        self._retried(self._attempt, round(wait_s, 3), error.what)
        return wait_s


def quiet_stamina() -> Any:
    """Stamina, without the loggers that it finds by itself: the platform's record is the event."""
    import stamina

    stamina.instrumentation.set_on_retry_hooks(())
    return stamina

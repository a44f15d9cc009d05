"""How fast models are asked: requests and tokens a minute, by token buckets that real usage settles.

A run is admitted before it begins, so that waiting is neither in its time limit nor in its measured duration. What it
will take is estimated by the mean of the runs before it; once it is over, its real usage corrects the bucket, which may
stand below zero and then refills first.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from penstock.contracts.eval_suite import ModelPace

MINUTE_S = 60.0
BURST_S = 1.0
"""What a bucket holds at most, in seconds of its pace: so any minute sees at most 61 seconds' worth."""


class Bucket:
    """A token bucket that refills by `per_minute`; it may be overdrawn. Times are seconds of any one clock."""

    def __init__(self, per_minute: float, now: float) -> None:
        self._rate = per_minute / MINUTE_S
        self._capacity = max(1.0, self._rate * BURST_S)
        self._level = self._capacity
        self._at = now

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken; more than the bucket holds may be taken when it is full."""
        self._refill(now)
        lacking = min(amount, self._capacity) - self._level
        return lacking / self._rate if lacking > 1e-9 else 0.0

    def take(self, amount: float, now: float) -> None:
        """Takes `amount` (negative: gives it back)."""
        self._refill(now)
        self._level = min(self._capacity, self._level - amount)

    def _refill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)


class _ModelPace:
    """One model's buckets, and what a run takes of them."""

    def __init__(self, pace: ModelPace, now: float) -> None:
        self.requests = Bucket(pace.rpm, now) if pace.rpm is not None else None
        self.tokens = Bucket(pace.tpm, now) if pace.tpm is not None else None
        self.settled = 0
        self.in_flight = 0
        self._calls = self._tokens = 0
        self.turn = asyncio.Lock()
        self.changed = asyncio.Event()

    @property
    def estimate(self) -> tuple[float, float]:
        """Requests and tokens that a run takes, by the runs so far."""
        if not self.settled:
            return 1.0, 0.0
        return max(1.0, self._calls / self.settled), self._tokens / self.settled

    def wait_s(self, now: float) -> float:
        """Seconds until a run may begin."""
        pairs = zip((self.requests, self.tokens), self.estimate, strict=True)
        return max(bucket.wait_s(amount, now) if bucket else 0.0 for bucket, amount in pairs)

    def take(self, amounts: tuple[float, float], now: float) -> None:
        """Takes requests and tokens."""
        for bucket, amount in zip((self.requests, self.tokens), amounts, strict=True):
            if bucket is not None:
                bucket.take(amount, now)

    def learn(self, calls: int, tokens: int) -> None:
        """Adds what a run took to what the next ones are expected to take."""
        self.settled += 1
        self._calls += calls
        self._tokens += tokens


class Admission:
    """A run that was admitted; `settle` tells what it took."""

    def __init__(self, model: _ModelPace | None, estimate: tuple[float, float], clock: Callable[[], float]) -> None:
        self._model, self._estimate, self._clock = model, estimate, clock

    def settle(self, calls: int, tokens: int) -> None:
        """Corrects the buckets by real usage: requests made and tokens used, also those of a run that failed."""
        model = self._model
        if model is None:
            return
        model.take((calls - self._estimate[0], tokens - self._estimate[1]), self._clock())
        if calls or not model.settled:
            model.learn(calls, tokens)
        model.in_flight -= 1
        model.changed.set()


class Pacing:
    """The paces of all models; belongs to one event loop. A model without a declared pace is never waited for.

    Until the first run of a model is over nobody knows what a run takes: the others wait for that.
    """

    def __init__(
        self,
        paces: Mapping[str, ModelPace],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._models = {name: _ModelPace(pace, clock()) for name, pace in paces.items()}

    async def admit(self, model: str, patience_s: float) -> Admission | None:
        """Waits until a run of that model may begin, in turn; None if that takes longer than `patience_s` seconds."""
        paced = self._models.get(model)
        if paced is None:
            return Admission(None, (0.0, 0.0), self._clock)
        latest = self._clock() + patience_s
        async with paced.turn:
            while not paced.settled and paced.in_flight:
                paced.changed.clear()
                try:
                    async with asyncio.timeout(max(0.0, latest - self._clock())):
                        await paced.changed.wait()
                except TimeoutError:
                    return None
            while wait_s := paced.wait_s(self._clock()):
                if self._clock() + wait_s > latest:
                    return None
                await self._sleep(wait_s)
            estimate = paced.estimate
            paced.take(estimate, self._clock())
            paced.in_flight += 1
            return Admission(paced, estimate, self._clock)

"""What one evaluation may use at most: money and time, of all its sides and judges together."""

import threading
import time
from collections.abc import Callable, Mapping

from penstock.contracts.eval_suite import ModelPace
from penstock.scoring.pace import Pacing

MINUTE_S = 60.0


class Budget:
    """Counts what an evaluation uses; any thread may tell it. Time counts from its making.

    `cost_usd` (USD) and `minutes` (wall time) bound what is begun: what is in flight when they are reached goes on to
    its end. A run without a known price adds nothing to `spent_usd`, and 1 to `unpriced`. All bounds that are made
    with one budget share its pace. `planned`, `ended` and `problems` count trials, for progress alone.
    """

    def __init__(self, cost_usd: float, minutes: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.cost_usd, self.minutes = cost_usd, minutes
        self.spent_usd = 0.0
        self.unpriced = 0
        self.planned = self.ended = self.problems = 0
        self._clock = clock
        self._deadline = clock() + minutes * MINUTE_S
        self._guard = threading.Lock()
        self._pacing: Pacing | None = None

    def spend(self, cost_usd: float | None) -> None:
        """Adds what a run or a judge's answer cost; None = its price is unknown."""
        with self._guard:
            if cost_usd is None:
                self.unpriced += 1
            else:
                self.spent_usd += cost_usd

    def refusal(self) -> str | None:
        """Why nothing more may be begun; None while something may."""
        if self.spent_usd >= self.cost_usd:
            return f"the budget of {self.cost_usd:g} USD is used up ({self.spent_usd:.4f} USD spent)"
        if self._clock() >= self._deadline:
            return f"the budget of {self.minutes:g} minutes is used up"
        return None

    @property
    def remaining_s(self) -> float:
        """Seconds until the time is used up, 0 from then on."""
        return max(0.0, self._deadline - self._clock())

    def pacing(self, paces: Mapping[str, ModelPace]) -> Pacing:
        """The pace of this evaluation's models: one for all that ask, by the rules of whoever asked first."""
        with self._guard:
            if self._pacing is None:
                self._pacing = Pacing(paces)
            return self._pacing
